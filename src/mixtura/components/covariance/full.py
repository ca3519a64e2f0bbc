r"""Covariances of any volume, shape and orientation, stored as Cholesky factors."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from typing import Self

import torch
from torch import Tensor
from torch.distributions import constraints

from ...errors import MixtureError, refuse
from ...kernels import FULL, Step
from ..argument import Argument, correlation_factor
from .columns import cholesky_divided, divided, times
from .posterior import Gain, Measurement, by_coordinates, by_precisions, by_triangles, is_sharp
from .structure import Structure, lead

__all__ = ["Full", "factored"]


class Full(Structure):
    r"""Covariances of any volume, shape and orientation: :math:`\Sigma_k = L_k L_k^\top`.

    Arguments:
        covariance: Symmetric positive definite matrices, with shape ``(*B, K, D, D)``, or ``(D, D)`` where tied; none
            for a template.
        tied: Whether the components share one matrix.
        validate_args: Whether to check that matrices are finite, symmetric and positive definite; without it nothing
            waits for the device, and of other matrices nothing follows.

    Raises:
        MixtureError: If a matrix is not symmetric, not finite or not positive definite; the message names it.

    Example:
        >>> mx.Full(torch.eye(2).expand(3, 2, 2)).logdet(2)
        tensor([0., 0., 0.])
        >>> mx.Full(tied=True)
        Full(tied=True)
    """

    trailing = 2
    form = FULL

    def __init__(self, covariance: Tensor | None = None, *, tied: bool = False, validate_args: bool = True) -> None:
        factor = None if covariance is None else _cholesky(lead(covariance, 2, tied), validate_args)
        object.__setattr__(self, "factor", factor)
        object.__setattr__(self, "tied", tied)

    @classmethod
    def from_scale_tril(cls, scale_tril: Tensor, *, tied: bool = False, validate_args: bool = True) -> Full:
        """Builds the structure from lower triangular Cholesky factors with a positive diagonal, checked if asked."""
        if validate_args and not bool((scale_tril.detach().diagonal(dim1=-2, dim2=-1) > 0).all()):
            refuse("scale_tril", "lower triangular with a positive diagonal", "a diagonal entry that is not positive")
        return cls._of(factor=lead(scale_tril.tril(), 2, tied), tied=tied)

    @property
    def nonnegative(self) -> Tensor:
        return self.given.diagonal(dim1=-2, dim2=-1)

    def verify(self) -> None:
        super().verify()
        if bool((self.given.triu(1) != 0).any()):
            refuse("factor", "lower triangular", "numbers above the diagonal")

    def arguments(self, features: int) -> dict[str, Argument]:
        scale = {"scale": Argument(constraints.positive, (features,), self.tied)}
        if features == 1:  # which nothing can be correlated with
            return scale
        return scale | {"correlation": Argument(constraints.corr_cholesky, (features, features), self.tied)}

    def made(self, values: Mapping[str, Tensor]) -> Self:
        return self._replace(factor=values["scale"].unsqueeze(-1) * values.get("correlation", 1.0))

    def read(self, features: int) -> dict[str, Tensor]:
        scale, correlation = correlation_factor(self.given)
        return {"scale": scale, "correlation": correlation} if features > 1 else {"scale": scale}

    def log_volume(self, features: int) -> Tensor:
        r"""With :math:`R = L L^\top` the correlations, :math:`\sum_d (D \log s_d + (D - d) \log L_{dd}) + D \log 2`."""
        scale, correlation = correlation_factor(self.given)
        below = torch.arange(features - 1, -1, -1, dtype=scale.dtype, device=scale.device)
        corners = correlation.diagonal(dim1=-2, dim2=-1).log()
        return (features * scale.log() + below * corners).sum(-1) + features * math.log(2)

    def whiten(self, residual: Tensor) -> Tensor:
        return divided(self.given, residual)

    def color(self, noise: Tensor) -> Tensor:
        return times(self.given, noise)

    def half_logdet(self, features: int) -> Tensor:
        return self.scales(features).log().sum(-1)

    def inverse_factor(self) -> Tensor:
        identity = torch.eye(self.given.shape[-1], dtype=self.given.dtype, device=self.given.device)
        return torch.linalg.solve_triangular(self.given, identity, upper=False)

    def solve(self, residual: Tensor) -> Tensor:
        return cholesky_divided(self.given, residual)

    def inv(self) -> Full:
        return self._replace(factor=torch.linalg.cholesky(torch.cholesky_inverse(self.given)))

    def dense(self, features: int) -> Tensor:
        return self.given @ self.given.mT

    def variance(self, features: int) -> Tensor:
        return self.given.square().sum(-1)

    def scales(self, features: int) -> Tensor:
        return self.given.diagonal(dim1=-2, dim2=-1)

    def color_rows(self, index: int | Tensor, noise: Tensor) -> Tensor:
        factor = self.given.reshape(-1, *self.given.shape[-2:])[index]
        return noise @ factor.mT if factor.ndim == 2 else torch.bmm(factor, noise.unsqueeze(-1)).squeeze(-1)

    def factor_gradient(self, weight: Tensor, scatter: Tensor, features: int) -> Tensor:
        inverse = self.inverse_factor()
        excess = inverse @ scatter @ inverse.mT - weight[..., None, None] * torch.eye(features).to(weight)
        return (inverse.mT @ excess).tril()

    def local_slopes(self, weight: Tensor, scatter: Tensor, features: int) -> tuple[Tensor, Tensor]:
        (rows, columns), factor = torch.tril_indices(features, features), self.given
        inverse = torch.linalg.solve_triangular(factor, torch.eye(features).to(factor), upper=False)
        excess = inverse @ scatter @ inverse.mT - weight[..., None, None] * torch.eye(features).to(factor)
        bend = weight.unsqueeze(-1) * (1 + (rows == columns)).to(factor)
        return excess[..., rows, columns], bend

    def stepped(self, step: Tensor) -> Self:
        factor, step = self.given, step.reshape(*self.leading, -1)
        (rows, columns), turn = torch.tril_indices(*factor.shape[-2:]), torch.zeros_like(factor)
        turn[..., rows, columns] = torch.where((rows == columns).to(step.device), step.exp(), step)
        return self._replace(factor=factor @ turn)

    def with_moment(self, moment: Tensor, features: int) -> Self:
        return self._replace(factor=factored(moment, self.tied).factor)

    @property
    def step(self) -> Step | None:
        if type(self) is not Full:  # derived structures have M-steps of their own
            return None
        return Step.TIED_FULL if self.tied else Step.FULL

    def parameters(self, components: int, features: int) -> int:
        return (1 if self.tied else components) * features * (features + 1) // 2

    def marginal(self, dims: Sequence[int]) -> Full:
        rows = self.given[..., list(dims), :]
        return self._replace(factor=torch.linalg.cholesky(rows @ rows.mT))

    def conditional(self, known: Sequence[int], free: Sequence[int]) -> Full:
        """The corner of the Cholesky factor of the coordinates ordered known first."""
        factor = self.marginal([*known, *free]).given
        return self._replace(factor=factor[..., len(known) :, len(known) :])

    # -- algebra

    def full(self, features: int) -> Full:
        return Full._of(factor=self.factor, tied=self.tied)

    def plus_spherical(self, variance: Tensor) -> Full:
        return self.plus_diagonal(variance.unsqueeze(-1).expand(*variance.shape, self.width))

    def plus_diagonal(self, variance: Tensor) -> Full:
        return self.plus_full(torch.diag_embed(variance))

    def plus_full(self, covariance: Tensor) -> Full:
        total = self.dense(self.width) + covariance
        return factored(total, self._tied_still(total))

    def image(self, matrix: Tensor, noise: Structure | None = None) -> Full:
        root = matrix @ self.given
        covariance = root @ root.mT if noise is None else root @ root.mT + noise.dense(matrix.shape[-2])
        return factored(covariance, self._tied_still(covariance))

    def posterior(self, measurement: Measurement, features: int) -> tuple[Structure, Gain]:
        coordinates, prior = measurement.coordinates(), self.variance(features)
        if self.elementwise and coordinates is not None:
            variance, gain = by_coordinates(prior, coordinates)
            factor = variance.sqrt().unsqueeze(-1)
        else:
            factor, gain = by_triangles(self.given, measurement)
            if coordinates is not None and is_sharp(prior, coordinates):
                factor = by_precisions(self.given, coordinates)
        return Full._of(factor=factor, tied=self._tied_still(factor)), gain


def factored(covariance: Tensor, tied: bool) -> Full:
    """Returns covariances as a `Full` structure, unchecked: NaN where not positive definite."""
    factor, info = torch.linalg.cholesky_ex(covariance)
    return Full._of(factor=factor.masked_fill((info > 0)[..., None, None], torch.nan), tied=tied)


def _cholesky(covariance: Tensor, validate_args: bool) -> Tensor:
    if covariance.shape[-1] != covariance.shape[-2]:
        refuse("covariance", "square matrices (..., K, D, D)", tuple(covariance.shape))
    if not validate_args:
        return torch.linalg.cholesky_ex(covariance).L
    if not bool(covariance.isfinite().all()):
        refuse("covariance", "finite", "NaN or infinity")
    scale = covariance.detach().abs().amax((-2, -1), keepdim=True)
    if bool(((covariance - covariance.mT).abs() > 1e3 * torch.finfo(covariance.dtype).eps * scale).any()):
        refuse("covariance", "symmetric", "a matrix that differs from its transpose", "Use (C + C.mT) / 2.")
    factor, info = torch.linalg.cholesky_ex(covariance)
    if bool((info > 0).any()):
        _report_indefinite(covariance, info)
    return factor


def _report_indefinite(covariance: Tensor, info: Tensor) -> None:
    where = tuple((info > 0).nonzero()[0].tolist())
    smallest = torch.linalg.eigvalsh(covariance.detach()[where])[0].item()
    raise MixtureError(
        f"`covariance` must be positive definite; the matrix at index {list(where)} has smallest eigenvalue "
        f"{smallest:.3g}. Add a positive number to its diagonal, or use fewer features."
    )
