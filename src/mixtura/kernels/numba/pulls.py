"""Responsibilities times pulls through the compiled loops."""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor

from ..pulls import Pulls
from ..threads import in_threads, workers
from .joints import Shape
from .layouts import Array, aligned
from .pulls_loops import pulled_rows
from .vector import lanes

__all__ = ["pulled"]

_GRAIN = 3_000_000  # work worth another thread: about a tenth of a millisecond


def pulled(pulls: Pulls, x: Tensor) -> Tensor:
    """The sums of rows (N, D), in their shape."""
    out, size = torch.empty_like(x, memory_format=torch.contiguous_format), _size(pulls, x)
    arrays, rows, sums = [_flat(one, size) for one in pulls], _array(x), _array(out)
    least = rows.dtype.type(torch.finfo(x.dtype).tiny ** 0.5)

    def run(begin: int, stop: int) -> None:
        arguments: tuple[Any, ...] = rows, begin, stop, *arrays, size, least, _tiles(size, rows), sums
        pulled_rows(*arguments)

    in_threads(run, len(x), workers(pulls.work(len(x)), _GRAIN))
    return out


def _size(pulls: Pulls, x: Tensor) -> Shape:
    components, features = pulls.kept.shape
    return Shape(1, components, features + features % 2, features, 1, *lanes(x.dtype.itemsize))


def _flat(one: Tensor, size: Shape) -> Array:
    """Numbers of components, for an even number of features."""
    missing = size.features - size.real
    return _array(torch.nn.functional.pad(one, (0, missing) * (one.ndim - 1)) if missing else one)


def _array(one: Tensor) -> Array:
    return one.detach().contiguous().numpy().reshape(-1)


def _tiles(size: Shape, like: Array) -> tuple[Array, ...]:
    """Room for a panel: its rows, residuals from all components, a number for each, and what is summed."""
    counts = size.features, size.components * size.features, size.components, size.features
    return tuple(aligned(count * size.width, like.dtype) for count in counts)
