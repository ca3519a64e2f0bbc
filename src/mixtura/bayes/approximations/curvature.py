"""Cholesky factors of curvatures and of their inverses, found in scales in which the curvatures are near one."""

from __future__ import annotations

import torch
from torch import Tensor

__all__ = ["curvature_factor", "inverse_factor", "lowest"]

_FLAT = 1e-13  # of rounding only


def curvature_factor(matrix: Tensor) -> Tensor | None:
    """Returns the Cholesky factor of a symmetric matrix ``(P, P)``, or none where it is not positive definite."""
    if not lowest(matrix) > _FLAT:
        return None
    unit, scale = _unit(matrix)
    return torch.linalg.cholesky(unit) * scale.unsqueeze(-1)


def lowest(matrix: Tensor) -> float:
    """Returns the lowest eigenvalue of a matrix in the scales of its diagonal; NaN where the matrix is not finite."""
    if not bool(matrix.isfinite().all()):
        return float("nan")
    return float(torch.linalg.eigvalsh(_unit(matrix)[0])[0])


def inverse_factor(factor: Tensor) -> Tensor:
    """Returns the Cholesky factor of the inverse of L Lᵀ, by a triangularisation of the inverse of L."""
    identity = torch.eye(len(factor), dtype=factor.dtype)
    upper = torch.linalg.qr(torch.linalg.solve_triangular(factor, identity, upper=False))[1]
    return upper.mT * upper.diagonal().sign()


def _unit(matrix: Tensor) -> tuple[Tensor, Tensor]:
    scale = matrix.diagonal().abs().sqrt().clamp_min(torch.finfo(matrix.dtype).tiny)
    return matrix / scale.unsqueeze(-1) / scale, scale
