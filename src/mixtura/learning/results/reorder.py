r"""Reordering the components of a batch, each entry by its own permutation.

Labels are arbitrary: a mixture is the same after any permutation of its components. Tensors of states and statistics
have the leading shape ``(B, K, ...)``, or ``(B, 1, ...)`` where components share a value, which stays as it is.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, TypeVar

from torch import Tensor

from ..._value import permuted
from ...components import Component, Statistics

if TYPE_CHECKING:
    from ...mixture import Mixture

    T = TypeVar("T", bound=Component | Mixture)

__all__ = ["reorder", "reorder_statistics"]


def reorder(value: T, order: Tensor) -> T:
    """Returns a batch of mixtures or components ``(B, K)`` with entry b's components in the order ``order[b]``.

    Example:
        >>> two = mx.Normal(torch.tensor([[0.0, 5.0], [5.0, 0.0]]), torch.ones(2, 2))
        >>> mx.learning.reorder(two, torch.tensor([[0, 1], [1, 0]])).loc
        tensor([[0., 5.],
                [0., 5.]])
    """
    return value.reordered(order)  # type: ignore[return-value]


def reorder_statistics(statistics: Statistics, order: Tensor) -> Statistics:
    """Returns the sums with components in another order."""
    moments = tuple(permuted(moment, order) for moment in statistics.moments)
    return Statistics(statistics.log_likelihood, permuted(statistics.weight, order), moments)
