"""Drawing which component a row comes from."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

import torch
from torch import Generator, Tensor

if TYPE_CHECKING:
    from .value import Mixture

__all__ = ["labels", "locate"]


def labels(mixture: Mixture, sample_shape: Sequence[int], generator: Generator | None) -> Tensor:
    """Draws component indices, with shape ``(*sample_shape, *B)``: where a uniform number falls among the weights."""
    shape = torch.Size(sample_shape)
    cumulative = mixture.weights.detach().double().cumsum(-1)
    cumulative = cumulative / cumulative[..., -1:]
    each = (*mixture.batch_shape, shape.numel())
    uniform = torch.rand(*each, dtype=torch.double, device=mixture.device, generator=generator)
    return locate(cumulative, uniform).movedim(-1, 0).reshape(shape + mixture.batch_shape)


def locate(cumulative: Tensor, draws: Tensor) -> Tensor:
    """Counts the cumulative weights ``(*B, K)`` at or below each draw ``(*B, N)``."""
    if cumulative.shape[-1] > 32 or draws.numel() < 4096:
        return torch.searchsorted(cumulative, draws, right=True)
    labels = torch.zeros(draws.shape, dtype=torch.uint8, device=draws.device)  # few: sweeps beat searches
    for edge in cumulative[..., :-1].unbind(-1):
        labels += draws >= edge.unsqueeze(-1)
    return labels.long()
