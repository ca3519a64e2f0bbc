"""What a pass over the rows returns, and the rule that turns log joints into responsibilities."""

from abc import ABC, abstractmethod
from collections.abc import Callable
from typing import NamedTuple

import torch
from torch import Tensor

__all__ = ["Labels", "Single", "Sums", "soft"]

Labels = Callable[[Tensor], Tensor]


class Sums(NamedTuple):
    r"""Sums over rows, about the *current* means, in float64 on the device of the rows.

    With :math:`r_{nk}` the responsibility times the weight of the row. Tied structures (one scale for all K) give
    the scatter pooled over components, with a component dimension of one.

    Attributes:
        log_likelihood: (B,), :math:`\sum_n w_n \log \sum_k p_{nk}`, in nats.
        weight: (B, K), :math:`\sum_n r_{nk}`.
        shift: (B, K, D), :math:`\sum_n r_{nk} (x_n - \mu_k)`.
        scatter: :math:`\sum_n r_{nk} (x_n - \mu_k)(x_n - \mu_k)^\top`: (B, K, D, D) whole, (B, K, D) its diagonal
            or (B, K) its trace.
    """

    log_likelihood: Tensor
    weight: Tensor
    shift: Tensor
    scatter: Tensor


class Single(ABC):
    """A labels rule that gives each row wholly to one component.

    That is the one whose stretch of the cumulative probability holds the row's threshold, or the most probable one.
    """

    @abstractmethod
    def __call__(self, log_joint: Tensor) -> Tensor:
        """Returns ones and zeros, (..., K) -> (..., K)."""

    @abstractmethod
    def threshold(self, x: Tensor, restarts: int) -> Tensor | None:
        """Numbers in [0, 1) for rows x, (N, B), or None for the most probable component."""


def soft(log_joint: Tensor) -> Tensor:
    """Posterior probability of each component: (..., K) -> (..., K)."""
    return torch.softmax(log_joint, -1)
