"""Cholesky factors of curvatures and of their inverses, found in scales in which the curvatures are near one."""

from __future__ import annotations

import math

import torch
from torch import Tensor

__all__ = ["along_path", "curvature_factor", "inverse_factor", "lowest"]

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


def along_path(points: Tensor, gradients: Tensor) -> Tensor:
    """Returns Cholesky factors of the estimates H at each of the iterates, ``(L + 1, P, P)``."""
    inner = outer = torch.eye(points.shape[-1], dtype=points.dtype)
    found = [inner]
    for s, y in zip(points.diff(dim=0), -gradients.diff(dim=0), strict=True):
        inner, outer = _after(inner, outer, s, y)
        found.append(inner)
    upper = torch.linalg.qr(torch.stack(found).mT)[1]
    return upper.mT * upper.diagonal(dim1=-2, dim2=-1).sign().unsqueeze(-2)


def _after(inner: Tensor, outer: Tensor, s: Tensor, y: Tensor) -> tuple[Tensor, Tensor]:
    r"""Returns F and L of :math:`H = F F^\top, H^{-1} = L L^\top` after one more pair.

    With :math:`v = L^\top s \sqrt{s^\top y}/|L^\top s|` these are :math:`F - s(F^\top y - v)^\top/s^\top y` and
    :math:`L + (y - L v) v^\top/s^\top y`, which rounding cannot make indefinite. A pair that does not bend down tells
    nothing.
    """
    product = float(s @ y)
    if product <= 1e-12 * float(s.norm() * y.norm()):
        return inner, outer
    v = outer.mT @ s
    v = v * math.sqrt(product) / v.norm()
    return inner - torch.outer(s, inner.mT @ y - v) / product, outer + torch.outer(y - outer @ v, v) / product
