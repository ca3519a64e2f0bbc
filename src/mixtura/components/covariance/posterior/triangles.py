r"""The posterior of any Gaussian by one orthogonal triangularisation, so that no covariance is ever a difference.

With :math:`F F^\top = V` and any root of S (Kailath, Sayed and Hassibi, 2000, chapter 12),

.. math:: \begin{pmatrix} S^{1/2} & A F \\ 0 & F \end{pmatrix} \Theta =
    \begin{pmatrix} T^{1/2} & 0 \\ G & C^{1/2} \end{pmatrix}, \qquad T = A V A^\top + S, \\
    z = T^{-1/2}(y - A\mu), \qquad x | y \sim N(\mu + G z,\; C), \qquad
    \log p(y) = -\tfrac12 |z|^2 - \log|T^{1/2}| - \tfrac M2 \log 2\pi .

Noise may go to zero. Where more numbers were recorded than there are coordinates, and none of them exactly, the record
is first put down to as many as tell something: with :math:`S^{-1/2} A = Q R`, all that y says of x is in
:math:`Q^\top S^{-1/2} y`, a measurement by R with errors of one.
"""

from __future__ import annotations

import math
from dataclasses import dataclass

import torch
from torch import Tensor

from ..columns import divided, times
from .gain import Gain
from .measurement import Measurement
from .singular import refuse_singular

__all__ = ["by_triangles"]

_HALF_LOG_TWO_PI = 0.5 * math.log(2 * math.pi)


@dataclass(frozen=True, eq=False, repr=False)
class _ByTriangles(Gain):
    matrix: Tensor  # A, (*L, M, D)
    root: Tensor  # T^1/2, (*L, M, M)
    cross: Tensor  # G, (*L, D, M)
    constant: Tensor  # (*L)

    def explain(self, y: Tensor, mean: Tensor) -> tuple[Tensor, Tensor]:
        log_prob, shift = self.shift(y - times(self.matrix, mean))
        return log_prob, mean + shift

    def shift(self, residual: Tensor) -> tuple[Tensor, Tensor]:
        """The log-density of residuals ``(*S, *L, M)``, and how far they move the means."""
        z = divided(self.root, residual)
        return self.constant - 0.5 * z.square().sum(-1), times(self.cross, z)


@dataclass(frozen=True, eq=False, repr=False)
class _Compressed(Gain):
    matrix: Tensor  # A, (*L, M, D)
    error: Tensor  # S^1/2, lower triangular, (*L, M, M)
    basis: Tensor  # Q, (*L, M, D)
    inner: _ByTriangles
    constant: Tensor

    def explain(self, y: Tensor, mean: Tensor) -> tuple[Tensor, Tensor]:
        white = divided(self.error, y - times(self.matrix, mean))
        told = times(self.basis.mT, white)
        log_prob, shift = self.inner.shift(told)
        untold = (white - times(self.basis, told)).square().sum(-1)
        return log_prob + self.constant - 0.5 * untold, mean + shift


def by_triangles(factor: Tensor, measurement: Measurement) -> tuple[Tensor, Gain]:
    """Returns the posterior's Cholesky factors from those of the prior, ``(*L, D, D)``, and the gain."""
    matrix, (error, proper) = measurement.whole_matrix(), measurement.root()
    if proper and matrix.shape[-2] > matrix.shape[-1]:
        return _compressed(factor, matrix, error, measurement.recorded)
    return _triangularised(factor, matrix, error, measurement.recorded)


def _compressed(factor: Tensor, matrix: Tensor, error: Tensor, recorded: Tensor | int) -> tuple[Tensor, Gain]:
    white = torch.linalg.solve_triangular(error, matrix, upper=False)
    basis, told = torch.linalg.qr(white)
    features = matrix.shape[-1]
    one = torch.eye(features, dtype=told.dtype, device=told.device)
    left, inner = _triangularised(factor, told, one, features)
    constant = -_half_logdet(error) - (recorded - features) * _HALF_LOG_TWO_PI
    return left, _Compressed(matrix, error, basis, inner, constant)


def _triangularised(
    factor: Tensor, matrix: Tensor, error: Tensor, recorded: Tensor | int
) -> tuple[Tensor, _ByTriangles]:
    width, features = matrix.shape[-2:]
    seen = matrix @ factor
    leading = torch.broadcast_shapes(seen.shape[:-2], error.shape[:-2])
    array = factor.new_zeros(*leading, width + features, width + features)
    array[..., :width, :width] = error
    array[..., :width, width:] = seen
    array[..., width:, width:] = factor
    lower = _lower(array)
    root, cross = lower[..., :width, :width], lower[..., width:, :width]
    _check(root)
    constant = -_half_logdet(root) - recorded * _HALF_LOG_TWO_PI
    return lower[..., width:, width:].contiguous(), _ByTriangles(matrix, root, cross, constant)


def _lower(array: Tensor) -> Tensor:
    """The lower triangular matrix, with no negative number on its diagonal, of the same square."""
    upper = torch.linalg.qr(array.mT, "reduced" if array.requires_grad else "r").R
    signs = torch.where(upper.diagonal(dim1=-2, dim2=-1) < 0, -1.0, 1.0).to(array.dtype)
    return (upper * signs.unsqueeze(-1)).mT


def _check(root: Tensor) -> None:
    """Refuses a root of which a direction is no longer than rounding."""
    alone = root.detach().diagonal(dim1=-2, dim2=-1)
    rounding = 4 * root.shape[-1] * torch.finfo(root.dtype).eps * torch.linalg.vector_norm(root.detach(), dim=-1)
    refuse_singular(alone <= rounding)


def _half_logdet(lower: Tensor) -> Tensor:
    return lower.diagonal(dim1=-2, dim2=-1).log().sum(-1)
