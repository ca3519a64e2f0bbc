r"""Covariances in their own axes, :math:`\Sigma_k = Q_k\,\mathrm{diag}(\lambda_k)\,Q_k^\top`.

One decomposition, and every further variance :math:`s^2`, scale t or inverse is a number for each axis:

.. math:: \Sigma + s^2 I = Q\,\mathrm{diag}(\lambda + s^2)\,Q^\top, \qquad
    t^2 \Sigma = Q\,\mathrm{diag}(t^2\lambda)\,Q^\top, \qquad
    \Sigma^{-1} = Q\,\mathrm{diag}(1/\lambda)\,Q^\top,

so a mixture seen through many levels of noise needs no matrix factored twice. The structure stores the axes Q and the
scales along them, :math:`\lambda^{1/2}`; axes in common are stored once. It whitens by :math:`L^{-1} =
\mathrm{diag}(\lambda)^{-1/2} Q^\top`. The fused passes, and the scale of a coordinate given those before it, need a
triangle: with :math:`(Q\lambda^{1/2})^\top = UR` it is the Cholesky factor :math:`R^\top`, found without a square.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Self

import torch
from torch import Tensor

from ...errors import refuse
from ...kernels import FULL
from .axes import checked_variance
from .columns import own_axes, times
from .full import Full
from .patterns import similar
from .posterior import Gain, Measurement, by_axes, is_round
from .structure import Structure, lead

__all__ = ["Eigen"]


@dataclass(frozen=True, eq=False, repr=False, init=False)
class Eigen(Structure):
    r"""Covariances in their own axes: :math:`\Sigma_k = Q_k\,\mathrm{diag}(\lambda_k)\,Q_k^\top`.

    Arguments:
        axes: Orthogonal matrices Q whose columns are the axes, with shape ``(*B, K, D, D)``, or ``(D, D)`` where all
            components have the same; none for a template.
        spectrum: The variances :math:`\lambda` along the axes, positive, with shape ``(*B, K, D)``, or ``(D,)`` where
            tied.
        tied: Whether the components share one matrix.
        validate_args: Whether to check that axes are orthonormal and variances positive and finite; without it nothing
            waits for the device.

    As a template it fits what `Full` fits. `Eigen.of` gives any structure's covariances in their own axes.

    Raises:
        MixtureError: If the columns are not orthonormal, or a variance is not positive and finite.

    Example:
        >>> turn = torch.tensor([[0.6, -0.8], [0.8, 0.6]])
        >>> one = mx.Eigen(turn, torch.tensor([[1.0, 4.0], [2.0, 9.0]]))
        >>> one.plus(mx.Spherical(torch.tensor(0.5), tied=True)).spectrum
        tensor([[1.5000, 4.5000],
                [2.5000, 9.5000]])
    """

    axes: Tensor | None

    trailing = 1
    form = FULL
    keeps_round = True
    has_axes = True

    def __init__(
        self,
        axes: Tensor | None = None,
        spectrum: Tensor | None = None,
        *,
        tied: bool = False,
        validate_args: bool = True,
    ) -> None:
        if (axes is None) != (spectrum is None):
            refuse("spectrum", "given with axes, or neither of them", "one without the other")
        factor = None if spectrum is None else checked_variance(lead(spectrum, 1, tied), validate_args).sqrt()
        placed = None if axes is None or factor is None else _checked_axes(axes, factor, validate_args)
        for name, value in (("factor", factor), ("tied", tied), ("axes", placed)):
            object.__setattr__(self, name, value)

    def verify(self) -> None:
        super().verify()
        axes = self.orientation
        features, slack = self.given.shape[-1], torch.finfo(axes.dtype).eps ** 0.5
        if axes.shape[-2:] != (features, features):
            refuse("axes", f"matrices {features} x {features}", tuple(axes.shape))
        if not bool(((axes.mT @ axes - torch.eye(features).to(axes)).abs() <= slack).all()):
            refuse("axes", "orthogonal matrices", "columns that are not orthonormal")

    @classmethod
    def of(cls, structure: Structure, features: int) -> Eigen:
        """Returns the covariances of any structure with values in their own axes, by one decomposition at most.

        Example:
            >>> mx.Eigen.of(mx.Spherical(torch.tensor([1.0, 4.0])), 2).spectrum
            tensor([[1., 1.],
                    [4., 4.]])
        """
        axes, spectrum = structure.in_own_axes(features)
        scales = spectrum.clamp_min(0).sqrt()  # of a factor's square no variance is negative but by rounding
        return Eigen._of(factor=scales, tied=structure.tied, axes=axes)

    @property
    def orientation(self) -> Tensor:
        """The axes Q as columns, with shape ``(*B, K or 1, D, D)``; an error for a template."""
        if self.axes is None:
            refuse("covariance", "a structure with values", f"the template {self!r}", "Give it axes and a spectrum.")
        return self.axes

    @property
    def spectrum(self) -> Tensor:
        r"""The variances :math:`\lambda` along the axes, with shape ``(*B, K or 1, D)``."""
        return self.given.square()

    @property
    def constrained(self) -> bool:
        """Axes are orthogonal."""
        return True

    def in_own_axes(self, features: int) -> tuple[Tensor, Tensor]:
        return self.orientation, self.spectrum

    # -- number by number in its own axes

    def whiten(self, residual: Tensor) -> Tensor:
        return times(self.orientation.mT, residual) / self.given

    def color(self, noise: Tensor) -> Tensor:
        return times(self.orientation, noise * self.given)

    def solve(self, residual: Tensor) -> Tensor:
        return times(self.orientation, times(self.orientation.mT, residual) / self.spectrum)

    def half_logdet(self, features: int) -> Tensor:
        return self.given.log().sum(-1)

    def inv(self) -> Eigen:
        return self._along(self.given.reciprocal())

    def variance(self, features: int) -> Tensor:
        return (self.orientation.square() @ self.spectrum.unsqueeze(-1)).squeeze(-1)

    def dense(self, features: int) -> Tensor:
        root = self._root
        return root @ root.mT

    def color_rows(self, index: int | Tensor, noise: Tensor) -> Tensor:
        axes = self.orientation.expand(*self.leading, *self.orientation.shape[-2:]).flatten(0, -3)[index]
        factor = axes * self.given.flatten(0, -2)[index].unsqueeze(-2)
        return noise @ factor.mT if factor.ndim == 2 else torch.bmm(factor, noise.unsqueeze(-1)).squeeze(-1)

    @property
    def for_draws(self) -> Structure:
        return self

    # -- by a triangle

    @property
    def triangular(self) -> Full:
        return self.unconstrained

    @property
    def unconstrained(self) -> Full:
        return Full._of(factor=None if self.factor is None else _triangle(self._root), tied=self.tied)

    def full(self, features: int) -> Full:
        return self.unconstrained

    def inverse_factor(self) -> Tensor:
        """The inverse of the Cholesky factor: a triangle, as the fused passes take it.

        It is found in double precision: the axes tell of variances that a triangle in single precision loses.
        """
        triangle = _triangle(self.orientation.double() * self.given.double().unsqueeze(-2))
        return Full._of(factor=triangle, tied=self.tied).inverse_factor().to(self.dtype)

    # -- algebra

    def plus_spherical(self, variance: Tensor) -> Eigen:
        return self._along((self.spectrum + variance.unsqueeze(-1)).sqrt())

    def scaled(self, scale: Tensor) -> Structure:
        return self._of(**self._along(self.given * scale.unsqueeze(-1))._fields())

    def image(self, matrix: Tensor, noise: Structure | None = None) -> Structure:
        if matrix.shape[-2] != matrix.shape[-1] or not similar(matrix):
            return super().image(matrix, noise)
        length = matrix[..., :1, :].square().sum(-1).sqrt()
        turned = self._along(self.given * length, matrix / length.unsqueeze(-1) @ self.orientation)
        return turned if noise is None else turned.plus(noise)

    def posterior(self, measurement: Measurement, features: int) -> tuple[Structure, Gain]:
        if not is_round(measurement):
            return self.unconstrained.posterior(measurement, features)
        left, gain = by_axes(self.orientation, self.spectrum, measurement)
        return self._along(left.sqrt()), gain

    def singular(self, features: int) -> Tensor:
        rounding = features * torch.finfo(self.dtype).eps * self.spectrum.amax(-1, keepdim=True)
        return ~(self.spectrum > rounding).all(-1)

    def _along(self, scale: Tensor, axes: Tensor | None = None) -> Eigen:
        """Covariances of these scales along its axes, or along others."""
        axes = self.orientation if axes is None else axes
        leading = torch.broadcast_shapes(scale.shape[:-1], axes.shape[:-2])
        scale = scale.expand(*leading, -1)
        return Eigen._of(factor=scale, tied=self._tied_still(scale), axes=axes.expand(*leading[:-1], *axes.shape[-3:]))

    # -- estimates, as for `Full`

    @property
    def moment_trailing(self) -> int:
        return 2

    def with_moment(self, moment: Tensor, features: int) -> Self:
        axes, spectrum = own_axes(moment)
        return self._replace(factor=spectrum.sqrt(), axes=axes)

    def parameters(self, components: int, features: int) -> int:
        return (1 if self.tied else components) * features * (features + 1) // 2

    # -- inside

    @property
    def _root(self) -> Tensor:
        r"""A root of the matrices that is no triangle: :math:`Q\lambda^{1/2}`."""
        return self.orientation * self.given.unsqueeze(-2)


def _triangle(root: Tensor) -> Tensor:
    """The lower triangle L with a positive diagonal and the L L^T of a root, without a square."""
    lower = torch.linalg.qr(root.mT).R.mT
    return lower * torch.where(lower.diagonal(dim1=-2, dim2=-1) < 0, -1.0, 1.0).unsqueeze(-2).to(lower)


def _checked_axes(axes: Tensor, factor: Tensor, validate_args: bool) -> Tensor:
    """Axes that agree with scales ``(*B, K or 1, D)``, with the batch dimensions of these."""
    axes, features = axes.unsqueeze(-3) if axes.ndim == 2 else axes, factor.shape[-1]
    if axes.shape[-2:] != (features, features) or axes.shape[-3] not in (1, factor.shape[-2]):
        refuse("axes", f"matrices {features} x {features} for each component or for all", tuple(axes.shape))
    away = (axes.mT @ axes - torch.eye(features).to(axes)).detach().abs().amax() if validate_args else 0.0
    if validate_args and not bool(away <= 1e3 * features * torch.finfo(axes.dtype).eps):
        refuse("axes", "orthogonal matrices", f"columns whose inner products are off by {away:.3g}")
    return axes.expand(*factor.shape[:-2], *axes.shape[-3:])
