"""Matrices times many vectors: the vectors as columns, so that no matrix is copied for each of them."""

from __future__ import annotations

from collections.abc import Callable

import torch
from torch import Tensor

__all__ = ["by_columns", "cholesky_divided", "column", "distinct", "divided", "not_below_zero", "own_axes", "times"]


def by_columns(operate: Callable[[Tensor], Tensor], vectors: Tensor, inner: int) -> Tensor:
    """Applies matrices ``(*L, D, D)`` to vectors ``(*S, *L, D)`` as columns, ``inner`` being the length of ``(*L, D)``.

    Otherwise torch would copy the matrices for each sample.
    """
    outer = vectors.ndim - inner
    if outer < 1:
        return operate(vectors.unsqueeze(-1)).squeeze(-1)
    columns = operate(vectors.flatten(0, outer - 1).movedim(0, -1))
    return columns.movedim(-1, 0).reshape(vectors.shape[:outer] + columns.shape[:-1])


def times(matrix: Tensor, vectors: Tensor) -> Tensor:
    """Returns matrices ``(*L, M, D)`` times vectors ``(*S, *L, D)``."""
    alone = _alone(matrix)
    return by_columns(lambda columns: alone @ columns, vectors, alone.ndim - 1)


def divided(lower: Tensor, vectors: Tensor) -> Tensor:
    """Returns the inverses of lower triangular matrices ``(*L, D, D)`` times vectors ``(*S, *L, D)``."""
    alone = _alone(lower)
    solve = torch.linalg.solve_triangular
    return by_columns(lambda columns: solve(alone, columns, upper=False), vectors, alone.ndim - 1)


def cholesky_divided(lower: Tensor, vectors: Tensor) -> Tensor:
    """Returns the inverses of matrices of these Cholesky factors ``(*L, D, D)`` times vectors ``(*S, *L, D)``."""
    alone = _alone(lower)
    return by_columns(lambda columns: torch.cholesky_solve(columns, alone), vectors, alone.ndim - 1)


def distinct(tensor: Tensor, leading: int) -> Tensor:
    """Returns the entries that differ: size one along each of so many dimensions that only repeats one entry."""
    for dim in range(leading):
        if tensor.shape[dim] > 1 and tensor.stride(dim) == 0:
            tensor = tensor.narrow(dim, 0, 1)
    return tensor


def _alone(matrix: Tensor) -> Tensor:
    """Matrices without the first dimensions along which they are one and the same."""
    matrix = distinct(matrix, matrix.ndim - 2)
    while matrix.ndim > 2 and matrix.shape[0] == 1:
        matrix = matrix.squeeze(0)
    return matrix


def own_axes(covariance: Tensor) -> tuple[Tensor, Tensor]:
    """Returns eigenvectors as columns and eigenvalues; NaN values where a matrix is not finite."""
    sound = covariance.isfinite().flatten(-2).all(-1)
    covariance = covariance.where(
        column(sound, 2), torch.eye(covariance.shape[-1]).to(covariance)
    )  # the other is let go
    values, vectors = torch.linalg.eigh(covariance)
    return vectors, values.masked_fill(~sound.unsqueeze(-1), torch.nan)


def not_below_zero(symmetric: Tensor) -> Tensor:
    """Returns matrices without what they have along axes of eigenvalues below zero."""
    axes, spectrum = own_axes(symmetric)
    return axes * spectrum.clamp_min(0).unsqueeze(-2) @ axes.mT


def column(tensor: Tensor, dims: int) -> Tensor:
    """Returns the tensor with so many dimensions of size one behind it."""
    return tensor.reshape(tensor.shape + (1,) * dims)
