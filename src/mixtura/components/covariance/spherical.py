r"""Round covariances, stored as one scale for each component."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Self

import torch
from torch import Tensor
from torch.distributions import constraints

from ...kernels import SPHERICAL, Step
from ..argument import Argument
from .axes import AlongAxes, checked_variance, select_rows
from .diagonal import Diagonal
from .full import Full
from .patterns import orthogonal, similar
from .posterior import Gain, Measurement, is_round
from .structure import Structure, lead

__all__ = ["Spherical"]


class Spherical(AlongAxes):
    r"""Round covariances: :math:`\Sigma_k = v_k I`.

    Arguments:
        variance: Positive variances, with shape ``(*B, K)``, or ``()`` where tied; none for a template.
        tied: Whether the components share one variance.
        validate_args: Whether to check that variances are positive and finite; without it nothing waits for the device.

    Raises:
        MixtureError: If a variance is not positive and finite.

    Example:
        >>> mx.Spherical(torch.tensor([1.0, 4.0])).dense(2)[1]
        tensor([[4., 0.],
                [0., 4.]])
    """

    trailing = 0
    form = SPHERICAL

    def __init__(self, variance: Tensor | None = None, *, tied: bool = False, validate_args: bool = True) -> None:
        factor = None if variance is None else checked_variance(lead(variance, 0, tied), validate_args).sqrt()
        object.__setattr__(self, "factor", factor)
        object.__setattr__(self, "tied", tied)

    def arguments(self, features: int) -> dict[str, Argument]:
        return {"scale": Argument(constraints.positive, (), self.tied)}

    def whiten(self, residual: Tensor) -> Tensor:
        return residual / self.given.unsqueeze(-1)

    def color(self, noise: Tensor) -> Tensor:
        return noise * self.given.unsqueeze(-1)

    def half_logdet(self, features: int) -> Tensor:
        return features * self.given.log()

    def inverse_factor(self) -> Tensor:
        return self.given.reciprocal()

    def solve(self, residual: Tensor) -> Tensor:
        return residual / self.given.square().unsqueeze(-1)

    def inv(self) -> Spherical:
        return self._replace(factor=self.given.reciprocal())

    def dense(self, features: int) -> Tensor:
        return torch.diag_embed(self.variance(features))

    def variance(self, features: int) -> Tensor:
        return self.scales(features).square()

    def scales(self, features: int) -> Tensor:
        return self.given.unsqueeze(-1).expand(*self.given.shape, features)

    def color_rows(self, index: int | Tensor, noise: Tensor) -> Tensor:
        return select_rows(self.given.reshape(-1, 1), index) * noise

    def factor_gradient(self, weight: Tensor, scatter: Tensor, features: int) -> Tensor:
        return (scatter / self.given.square() - weight * features) / self.given

    def local_slopes(self, weight: Tensor, scatter: Tensor, features: int) -> tuple[Tensor, Tensor]:
        rows = features * weight
        return (scatter / self.given.square() - rows).unsqueeze(-1), 2 * rows.unsqueeze(-1)

    def stepped(self, step: Tensor) -> Self:
        return self._replace(factor=self.given * step.reshape(self.given.shape).exp())

    def scatter(self, moment: Tensor) -> Tensor:
        return moment.diagonal(dim1=-2, dim2=-1).sum(-1)

    def dense_moment(self, moment: Tensor, features: int) -> Tensor:
        return torch.diag_embed((moment / features).unsqueeze(-1).expand(*moment.shape, features))

    def outer(self, vector: Tensor) -> Tensor:
        return vector.square().sum(-1)

    def with_moment(self, moment: Tensor, features: int) -> Self:
        return self._replace(factor=(moment / features).sqrt())

    @property
    def step(self) -> Step | None:
        if type(self) is not Spherical:  # derived structures have M-steps of their own
            return None
        return Step.TIED_SPHERICAL if self.tied else Step.SPHERICAL

    def parameters(self, components: int, features: int) -> int:
        return 1 if self.tied else components

    def marginal(self, dims: Sequence[int]) -> Spherical:
        return self

    # -- algebra

    def full(self, features: int) -> Full:
        return Full._of(factor=torch.diag_embed(self.scales(features)), tied=self.tied)

    def diagonal(self, features: int) -> Diagonal:
        """Returns the same covariances as a `Diagonal` structure."""
        return Diagonal._of(factor=self.scales(features), tied=self.tied)

    def added_to(self, structure: Structure) -> Structure:
        return structure.plus_spherical(self.given.square())

    def plus_spherical(self, variance: Tensor) -> Spherical:
        scale = (self.given.square() + variance).sqrt()
        return Spherical._of(factor=scale, tied=self._tied_still(scale))

    def plus_diagonal(self, variance: Tensor) -> Diagonal:
        return self.diagonal(variance.shape[-1]).plus_diagonal(variance)

    def image(self, matrix: Tensor, noise: Structure | None = None) -> Structure:
        length = matrix.square().sum(-1).sqrt()
        if similar(matrix):
            image: Structure = self.scaled(length[..., 0])
        elif orthogonal(matrix):
            image = self.diagonal(1)._along(self.given.unsqueeze(-1) * length)
        else:
            return super().image(matrix, noise)
        return image if noise is None else image.plus(noise)

    def posterior(self, measurement: Measurement, features: int) -> tuple[Structure, Gain]:
        left, gain = self.diagonal(features).posterior(measurement, features)
        if not (left.elementwise and is_round(measurement)):
            return left, gain
        scale = left.scales(features)[..., 0]
        return Spherical._of(factor=scale, tied=self._tied_still(scale)), gain
