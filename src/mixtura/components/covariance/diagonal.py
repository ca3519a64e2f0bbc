r"""Covariances along the axes, stored as a scale for each coordinate."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Self

import torch
from torch import Tensor
from torch.distributions import constraints

from ...kernels import DIAGONAL, Step
from ..argument import Argument
from .axes import AlongAxes, checked_variance, select_rows
from .full import Full
from .patterns import apply, picks
from .posterior import Gain, Measurement, by_coordinates
from .structure import Structure, lead

__all__ = ["Diagonal"]


class Diagonal(AlongAxes):
    r"""Axis-aligned covariances: :math:`\Sigma_k = \mathrm{diag}(v_k)`.

    Arguments:
        variance: Positive variances, with shape ``(*B, K, D)``, or ``(D,)`` where tied; none for a template.
        tied: Whether the components share one diagonal.
        validate_args: Whether to check that variances are positive and finite; without it nothing waits for the device.

    Raises:
        MixtureError: If a variance is not positive and finite.

    Example:
        >>> mx.Diagonal(torch.tensor([[1.0, 4.0]])).scales(2)
        tensor([[1., 2.]])
    """

    trailing = 1
    form = DIAGONAL

    def __init__(self, variance: Tensor | None = None, *, tied: bool = False, validate_args: bool = True) -> None:
        factor = None if variance is None else checked_variance(lead(variance, 1, tied), validate_args).sqrt()
        object.__setattr__(self, "factor", factor)
        object.__setattr__(self, "tied", tied)

    def arguments(self, features: int) -> dict[str, Argument]:
        return {"scale": Argument(constraints.positive, (features,), self.tied)}

    def whiten(self, residual: Tensor) -> Tensor:
        return residual / self.given

    def color(self, noise: Tensor) -> Tensor:
        return noise * self.given

    def half_logdet(self, features: int) -> Tensor:
        return self.given.log().sum(-1)

    def inverse_factor(self) -> Tensor:
        return self.given.reciprocal()

    def solve(self, residual: Tensor) -> Tensor:
        return residual / self.given.square()

    def inv(self) -> Diagonal:
        return self._replace(factor=self.given.reciprocal())

    def dense(self, features: int) -> Tensor:
        return torch.diag_embed(self.given.square())

    def variance(self, features: int) -> Tensor:
        return self.given.square()

    def scales(self, features: int) -> Tensor:
        return self.given

    def color_rows(self, index: int | Tensor, noise: Tensor) -> Tensor:
        return select_rows(self.given.reshape(-1, self.given.shape[-1]), index) * noise

    def factor_gradient(self, weight: Tensor, scatter: Tensor, features: int) -> Tensor:
        return (scatter / self.given.square() - weight.unsqueeze(-1)) / self.given

    def local_slopes(self, weight: Tensor, scatter: Tensor, features: int) -> tuple[Tensor, Tensor]:
        rows = weight.unsqueeze(-1).expand_as(scatter)
        return scatter / self.given.square() - rows, 2 * rows

    def stepped(self, step: Tensor) -> Self:
        return self._replace(factor=self.given * step.reshape(self.given.shape).exp())

    def scatter(self, moment: Tensor) -> Tensor:
        return moment.diagonal(dim1=-2, dim2=-1)

    def dense_moment(self, moment: Tensor, features: int) -> Tensor:
        return torch.diag_embed(moment)

    def outer(self, vector: Tensor) -> Tensor:
        return vector.square()

    def with_moment(self, moment: Tensor, features: int) -> Self:
        return self._replace(factor=moment.sqrt())  # the root of a negative sum is NaN: collapsed, and seen as such

    @property
    def step(self) -> Step | None:
        if type(self) is not Diagonal:  # derived structures have M-steps of their own
            return None
        return Step.TIED_DIAGONAL if self.tied else Step.DIAGONAL

    def parameters(self, components: int, features: int) -> int:
        return (1 if self.tied else components) * features

    def marginal(self, dims: Sequence[int]) -> Diagonal:
        return self._replace(factor=self.given[..., list(dims)])

    # -- algebra

    def full(self, features: int) -> Full:
        return Full._of(factor=torch.diag_embed(self.given), tied=self.tied)

    def added_to(self, structure: Structure) -> Structure:
        return structure.plus_diagonal(self.given.square())

    def plus_spherical(self, variance: Tensor) -> Diagonal:
        return self.plus_diagonal(variance.unsqueeze(-1))

    def plus_diagonal(self, variance: Tensor) -> Diagonal:
        return self._along((self.given.square() + variance).sqrt())

    def image(self, matrix: Tensor, noise: Structure | None = None) -> Structure:
        if not picks(matrix):
            return super().image(matrix, noise)
        image = self._along(apply(matrix.abs(), self.given))
        return image if noise is None else image.plus(noise)

    def _along(self, scale: Tensor) -> Diagonal:
        return Diagonal._of(factor=scale, tied=self._tied_still(scale))

    def posterior(self, measurement: Measurement, features: int) -> tuple[Structure, Gain]:
        coordinates = measurement.coordinates()
        if coordinates is None:
            return self.full(features).posterior(measurement, features)
        variance, gain = by_coordinates(self.given.square(), coordinates)
        return self._along(variance.sqrt()), gain
