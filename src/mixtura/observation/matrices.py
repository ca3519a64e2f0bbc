"""Covariances seen through matrices led by ``(R, C)``, rows and components."""

from __future__ import annotations

from collections.abc import Callable

import torch
from torch import Tensor

from ..components import Component
from ..components.covariance.posterior import refuse_singular
from .base import aligned

__all__ = ["Placed", "added", "apply", "cholesky", "congruent", "image", "square_root", "whole"]

Placed = Callable[[Tensor, Component], Tensor]
"""How tensors led by ``(R, C)`` stand beside components: `aligned`, or `by_row`."""


def apply(matrix: Tensor, vector: Tensor) -> Tensor:
    """The matrix times the vector."""
    return (matrix @ vector.unsqueeze(-1)).squeeze(-1)


def image(matrix: Tensor | None, mean: Tensor, components: Component, placed: Placed = aligned) -> Tensor:
    """Means seen through A."""
    return mean if matrix is None else apply(placed(matrix, components), mean)


def congruent(matrix: Tensor | None, covariance: Tensor, components: Component) -> Tensor:
    """Covariances seen through A."""
    if matrix is None:
        return covariance
    placed = aligned(matrix, components)
    return placed @ covariance @ placed.mT


def whole(noise: Tensor) -> Tensor:
    """Noise led by ``(R, C)`` as whole matrices."""
    return torch.diag_embed(noise) if noise.ndim == 3 else noise


def added(one: Tensor, other: Tensor) -> Tensor:
    """The noise of both, as variances where both are."""
    return one + other if one.ndim == other.ndim else whole(one) + whole(other)


def cholesky(covariance: Tensor) -> Tensor:
    """The Cholesky factors of what is recorded; NaN where singular, to rounding, and refused where all are."""
    factor, info = torch.linalg.cholesky_ex(covariance)
    left, before = (tensor.detach().diagonal(dim1=-2, dim2=-1) for tensor in (factor, covariance))
    rounding = 2 * torch.finfo(covariance.dtype).eps * before
    singular = (info > 0) | (left.square() <= rounding).any(-1)
    refuse_singular(singular.all())
    return factor.masked_fill(singular[..., None, None], torch.nan)


def square_root(covariance: Tensor) -> Tensor:
    """A symmetric root, which a singular matrix has too."""
    values, vectors = torch.linalg.eigh(covariance)
    return (vectors * values.clamp_min(0).sqrt().unsqueeze(-2)) @ vectors.mT
