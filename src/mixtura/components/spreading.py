"""Components of a larger batch: what rows leave as it is, beside what each row changes."""

from __future__ import annotations

from typing import TYPE_CHECKING, TypeVar

import torch

if TYPE_CHECKING:
    from .base import Component

    C = TypeVar("C", bound=Component)

__all__ = ["spread_to"]


def spread_to(components: C, batch: torch.Size) -> C:
    """Returns components with a batch shape ``(*S, *B, K)`` that theirs, ``(*B, K)``, is the end of.

    Example:
        >>> from mixtura.components.spreading import spread_to
        >>> spread_to(mx.Poisson(torch.ones(3)), torch.Size([5, 3])).batch_shape
        torch.Size([5, 3])
    """
    behind = len(components.batch_shape)
    return components.map(lambda tensor: tensor.expand(*batch, *tensor.shape[behind:]))
