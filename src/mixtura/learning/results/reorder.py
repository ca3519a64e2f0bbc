r"""Reordering the components of a batch, each entry by its own permutation.

Labels are arbitrary: a mixture is the same after any permutation of its components. Tensors of states and statistics
have the leading shape ``(B, K, ...)``, or ``(B, 1, ...)`` where components share a value, which stays as it is.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, TypeVar

import torch
from torch import Tensor

from ..._value import Value
from ...components import Statistics

if TYPE_CHECKING:
    from ...mixture import Mixture

    T = TypeVar("T", bound=Value | Mixture)

__all__ = ["reorder", "reorder_statistics"]


def reorder(value: T, order: Tensor) -> T:
    """Returns a batch of mixtures or components ``(B, K)`` with entry b's components in the order ``order[b]``.

    Example:
        >>> two = mx.Normal(torch.tensor([[0.0, 5.0], [5.0, 0.0]]), torch.ones(2, 2))
        >>> mx.learning.reorder(two, torch.tensor([[0, 1], [1, 0]])).loc
        tensor([[0., 5.],
                [0., 5.]])
    """
    return value.map(lambda tensor: _gather(tensor, order))  # type: ignore[return-value]


def reorder_statistics(statistics: Statistics, order: Tensor) -> Statistics:
    """Returns the sums with components in another order."""
    moments = tuple(_gather(moment, order) for moment in statistics.moments)
    return Statistics(statistics.log_likelihood, _gather(statistics.weight, order), moments)


def _gather(tensor: Tensor, order: Tensor) -> Tensor:
    if tensor.ndim < 2 or tensor.shape[1] != order.shape[1]:
        return tensor
    index = order.reshape(*order.shape, *(1,) * (tensor.ndim - 2))
    return torch.take_along_dim(tensor, index, 1)
