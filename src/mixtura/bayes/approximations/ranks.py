r"""Families of Gaussians that ADVI chooses from: with independent coordinates, or with any covariance.

Each is a map from free numbers :math:`\lambda` and standard normal draws z to points :math:`v = m + L z`, with L
diagonal or lower triangular, and :math:`\log\det L`.
"""

from __future__ import annotations

from abc import ABC, abstractmethod

import torch
from torch import Tensor

from ...errors import refuse

__all__ = ["RANKS", "Full", "MeanField", "Rank", "named"]


class Rank(ABC):
    """A family of Gaussians on P numbers."""

    @abstractmethod
    def free(self, size: int) -> int:
        """Returns how many free numbers there are."""

    @abstractmethod
    def factor(self, free: Tensor, size: int) -> Tensor:
        """Returns the lower triangular L of free numbers, ``(P, P)``, with the identity for zeros."""

    @abstractmethod
    def frame(self, scale_tril: Tensor) -> Tensor:
        """Returns the L of the family that fits a Gaussian of this Cholesky factor best."""

    def mean(self, free: Tensor, size: int) -> Tensor:
        """Returns the mean m of free numbers, ``(P,)``: the first P of them."""
        return free[:size]

    def half_logdet(self, free: Tensor, size: int) -> Tensor:
        """Returns log det L."""
        return free[size : 2 * size].sum()


class MeanField(Rank):
    """Gaussians with independent coordinates: variances are 1 / diag(precision) of a Gaussian posterior, too small."""

    def free(self, size: int) -> int:
        return 2 * size

    def factor(self, free: Tensor, size: int) -> Tensor:
        return free[size:].exp().diag_embed()

    def frame(self, scale_tril: Tensor) -> Tensor:
        return torch.cholesky_inverse(scale_tril).diagonal().rsqrt().diag_embed()


class Full(Rank):
    """Gaussians of any covariance."""

    def free(self, size: int) -> int:
        return size * (size + 3) // 2

    def factor(self, free: Tensor, size: int) -> Tensor:
        rows, columns = torch.tril_indices(size, size, -1)
        below = free.new_zeros(size, size).index_put((rows, columns), free[2 * size :])
        return below + free[size : 2 * size].exp().diag_embed()

    def frame(self, scale_tril: Tensor) -> Tensor:
        return scale_tril


RANKS: dict[str, Rank] = {"mean-field": MeanField(), "full": Full()}
"""The families by the names that users give."""


def named(rank: str | Rank) -> Rank:
    """Returns a family by its name, or as it is.

    Raises:
        MixtureError: If there is none of this name.
    """
    if isinstance(rank, Rank):
        return rank
    if rank not in RANKS:
        refuse("rank", f"one of {', '.join(map(repr, RANKS))}", repr(rank))
    return RANKS[rank]
