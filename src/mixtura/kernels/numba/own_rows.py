"""Rows that each have Gaussians of their own, through the compiled loops."""

from __future__ import annotations

from typing import Any

from torch import Tensor

from ..own_rows import OwnRows, Slopes
from ..threads import in_threads, workers
from .layouts import Array
from .own_rows_loops import Sizes
from .own_rows_loops import distances as distances_of
from .own_rows_loops import slopes as slopes_of
from .vector import REGISTER_BYTES

__all__ = ["distance", "slopes"]

_GRAIN = 400_000  # operations worth another thread: about a tenth of a millisecond


def distance(own: OwnRows) -> Tensor:
    """The squared lengths q, (N, K)."""
    rows, _, components = own.mean.shape
    out = own.x.new_empty(rows, components)
    arrays, found = _flat(own.x, own.mean, own.scale, own.below), _flat(out)

    def run(begin: int, stop: int) -> None:
        arguments = *arrays, begin, stop, *_settings(own), *found
        distances_of(*arguments)

    in_threads(run, rows, _threads(own))
    return out


def slopes(own: OwnRows, share: Tensor) -> Slopes:
    """The slopes in means, scales and triangles."""
    means, scales, triangles = (like.new_empty(like.shape) for like in (own.mean, own.scale, own.below))
    arrays, found = _flat(own.x, own.mean, own.scale, own.below, share), _flat(means, scales, triangles)

    def run(begin: int, stop: int) -> None:
        arguments = *arrays, begin, stop, *_settings(own), *found
        slopes_of(*arguments)

    in_threads(run, len(own.x), _threads(own))
    return means, scales, triangles


def _settings(own: OwnRows) -> tuple[Sizes, Any]:
    _, features, components = own.mean.shape
    shared = own.scale.shape[-1]
    lanes = REGISTER_BYTES // own.x.element_size()
    sizes = Sizes(features, own.depth, components, shared, int(shared == components), lanes)
    return sizes, _flat(own.x)[0].dtype.type(own.most)


def _threads(own: OwnRows) -> int:
    rows, features, components = own.mean.shape
    return workers(rows * components * features * (own.depth + 4), _GRAIN)


def _flat(*tensors: Tensor) -> list[Array]:
    return [tensor.detach().contiguous().numpy().reshape(-1) for tensor in tensors]
