r"""What a matrix does to coordinates, which decides what it leaves of a covariance's structure.

Whether a matrix picks coordinates, or turns them, is read from its numbers: one look on the host at a matrix that a
user gave, or a stack of them. Where the matrix itself is to be differentiated, no entry counts as zero for good, and
the answer is no.
"""

from __future__ import annotations

import torch
from torch import Tensor

__all__ = ["apply", "orthogonal", "picks", "similar"]

_ROUNDING = 16  # how many units of rounding per coordinate an inner product of rows may be off


def picks(matrix: Tensor) -> bool:
    """Whether matrices ``(*L, D', D)`` pick coordinates and scale them: no row and no column has two entries."""
    entries = (matrix != 0).long()
    single = (entries.sum(-1) <= 1).all() & (entries.sum(-2) <= 1).all()
    return not matrix.requires_grad and bool(single)


def orthogonal(matrix: Tensor) -> bool:
    """Whether the rows of each matrix ``(*L, D', D)`` are orthogonal to each other."""
    inner = matrix @ matrix.mT
    return not matrix.requires_grad and _vanishes(inner - torch.diag_embed(_diagonal(inner)), inner)


def similar(matrix: Tensor) -> bool:
    """Whether the rows of each matrix ``(*L, D', D)`` are orthogonal and of one length: distances are only scaled."""
    inner = matrix @ matrix.mT
    mean = _diagonal(inner).mean(-1, keepdim=True).expand(inner.shape[:-1])
    return not matrix.requires_grad and _vanishes(inner - torch.diag_embed(mean), inner)


def apply(matrix: Tensor, vector: Tensor) -> Tensor:
    """Returns matrices times vectors, ``(*L, D', D)`` by ``(*L, D)``."""
    return (matrix @ vector.unsqueeze(-1)).squeeze(-1)


def _diagonal(matrix: Tensor) -> Tensor:
    return matrix.diagonal(dim1=-2, dim2=-1)


def _vanishes(rest: Tensor, inner: Tensor) -> bool:
    length = _diagonal(inner).sqrt()
    slack = _ROUNDING * inner.shape[-1] * torch.finfo(inner.dtype).eps
    return bool((rest.abs() <= slack * length.unsqueeze(-1) * length.unsqueeze(-2)).all())
