r"""Sums over the rows of a design, and systems of them that may be singular.

Columns are brought to one length before anything is solved, so units do not matter. Directions along which rows do not
vary, to rounding, are left out: the solution has no part in them.
"""

from __future__ import annotations

import torch
from torch import Tensor

__all__ = ["curved", "pulls", "solved", "squares"]

_ROWS = 4096  # whose products stay in the cache
_NONE = 1e-13  # a share of the largest eigenvalue, for each column, that is none


def squares(u: Tensor, r: Tensor) -> Tensor:
    """Returns the sums of r u u', ``(*B, K, Q, Q)``, for designs ``(N, Q)`` and weights ``(N, *B, K)``."""
    blocks = zip(u.split(_ROWS), r.flatten(1).split(_ROWS), strict=True)
    total = sum((_squares(*block) for block in blocks), u.new_zeros(()))
    return total.reshape(*r.shape[1:], u.shape[-1], u.shape[-1])


def _squares(u: Tensor, r: Tensor) -> Tensor:
    column = u.mT.contiguous()  # products of columns that lie in memory as such
    outer = (column.unsqueeze(1) * column).flatten(0, 1)
    return (outer @ r).mT


def pulls(u: Tensor, r: Tensor) -> Tensor:
    """Returns the sums of r u, ``(*B, K, Q)``."""
    return (r.flatten(1).mT @ u).reshape(*r.shape[1:], -1)


def solved(matrix: Tensor, right: Tensor) -> Tensor:
    """Returns the shortest d, in units of the columns, for which ``matrix @ d`` is ``right``; NaN where one is."""
    unit, values, vectors = _axes(matrix)
    kept = values > _NONE * matrix.shape[-1]
    along = (vectors.mT @ (right / unit).unsqueeze(-1)).squeeze(-1)
    step = (vectors @ torch.where(kept, along / values.where(kept, 1), 0).unsqueeze(-1)).squeeze(-1) / unit
    return step.where(_sound(matrix).unsqueeze(-1), torch.nan)


def curved(matrix: Tensor, curvature: Tensor) -> Tensor:
    """Returns the least of ``d' curvature d`` over ``d' matrix d``, ``(...,)``; NaN where a number is."""
    unit, values, vectors = _axes(matrix)
    kept = values > _NONE * matrix.shape[-1]
    root = vectors * torch.where(kept, values.where(kept, 1).rsqrt(), 0).unsqueeze(-2) / unit.unsqueeze(-1)
    sound = _sound(matrix) & _sound(curvature)
    inside = root.mT @ curvature.where(sound[..., None, None], 0) @ root
    inside = inside + torch.diag_embed((~kept).to(inside))  # more than any curvature here
    return torch.linalg.eigvalsh(inside)[..., 0].where(sound, torch.nan)


def _axes(matrix: Tensor) -> tuple[Tensor, Tensor, Tensor]:
    """The lengths of the columns, and eigenvalues and axes of the matrix in these units."""
    length = matrix.diagonal(dim1=-2, dim2=-1).sqrt()
    unit = torch.where(length > 0, length, 1)
    scaled = matrix / unit.unsqueeze(-1) / unit.unsqueeze(-2)
    scaled = torch.where(_sound(matrix)[..., None, None], scaled, torch.eye(matrix.shape[-1]).to(scaled))
    return unit, *torch.linalg.eigh(scaled)


def _sound(matrix: Tensor) -> Tensor:
    return matrix.isfinite().all(-1).all(-1) & (matrix.diagonal(dim1=-2, dim2=-1) >= 0).all(-1)
