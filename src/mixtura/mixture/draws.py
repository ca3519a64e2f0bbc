r"""Drawing which component a row comes from: where a uniform number u falls among the cumulative weights.

Many draws of one mixture on a CPU go by a guide (Chen and Asau, 1974). The unit interval is cut in M equal parts, M a
power of two, so that the part of u, :math:`\lfloor u M \rfloor`, is exact. In most parts no weight ends, and all
numbers in them have one label, found by one look; only those in the others, K of M parts at most, are searched for. The
labels are those of a search, which takes ten times as long: nobody foresees which way a comparison with a random number
goes.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

import torch
from torch import Generator, Tensor

from ..errors import refuse

if TYPE_CHECKING:
    from .value import Mixture

__all__ = ["labels", "labels_of", "locate"]

_BLOCK = 2**16  # draws that stay in the cache
_PARTS = 64  # for each component, at least
_SWEPT = {True: 4, False: 32}  # components among which sweeps beat a guide, and a search


def labels(mixture: Mixture, sample_shape: Sequence[int], generator: Generator | None) -> Tensor:
    """Draws component indices, with shape ``(*sample_shape, *B)``."""
    shape = _shape(sample_shape)
    cumulative = mixture.weights.detach().double().cumsum(-1)
    cumulative = cumulative / cumulative[..., -1:]
    each = (*mixture.batch_shape, shape.numel())
    uniform = torch.rand(*each, dtype=torch.double, device=mixture.device, generator=generator)
    return locate(cumulative, uniform).movedim(-1, 0).reshape(shape + mixture.batch_shape)


def _shape(sample_shape: Sequence[int]) -> torch.Size:
    if isinstance(sample_shape, int):
        refuse("sample_shape", "a shape", sample_shape, f"Write ({sample_shape},) for so many draws.")
    return torch.Size(sample_shape)


def labels_of(logits: Tensor, count: int, generator: Generator | None) -> Tensor:
    """Draws so many component indices by log-weights ``(K,)``, or by those of each, ``(count, K)``."""
    cumulative = torch.softmax(logits.detach().double(), -1).cumsum(-1)
    uniform = torch.rand(count, dtype=torch.double, device=logits.device, generator=generator)
    each = uniform.reshape(*cumulative.shape[:-1], -1)
    return locate(cumulative / cumulative[..., -1:], each).reshape(count)


def locate(cumulative: Tensor, draws: Tensor) -> Tensor:
    """Counts the cumulative weights ``(*B, K)`` at or below each draw ``(*B, N)``."""
    components = cumulative.shape[-1]
    guided = draws.ndim == 1 and draws.device.type == "cpu" and len(draws) >= 8 * _parts(components)
    if components <= _SWEPT[guided] and draws.numel() >= 4096:
        return _sweep(cumulative, draws)
    return _look(cumulative, draws) if guided else torch.searchsorted(cumulative, draws, right=True)


def _sweep(cumulative: Tensor, draws: Tensor) -> Tensor:
    """One pass over the draws for each weight."""
    found = torch.zeros(draws.shape, dtype=torch.uint8, device=draws.device)
    for edge in cumulative[..., :-1].unbind(-1):
        found += draws >= edge.unsqueeze(-1)
    return found.long()


def _look(cumulative: Tensor, draws: Tensor) -> Tensor:
    """By a guide."""
    guide, out = _guide(cumulative), torch.empty(draws.shape, dtype=torch.long)
    for u, found in zip(draws.split(_BLOCK), out.split(_BLOCK), strict=True):
        torch.index_select(guide, 0, (u * len(guide)).int(), out=found)
        unsure = (found < 0).nonzero().squeeze(-1)
        found[unsure] = torch.searchsorted(cumulative, u[unsure], right=True)
    return out


def _guide(cumulative: Tensor) -> Tensor:
    """The label of each part of the unit interval, -1 where there are several."""
    parts = _parts(len(cumulative))
    ends = torch.arange(parts + 1, dtype=torch.double) / parts
    first, last = torch.searchsorted(cumulative, ends[:-1], right=True), torch.searchsorted(cumulative, ends[1:])
    return torch.where(first == last, first, -1)


def _parts(components: int) -> int:
    """A power of two."""
    return 1 << (_PARTS * components - 1).bit_length()
