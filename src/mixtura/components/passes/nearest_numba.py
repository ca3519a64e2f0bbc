"""The K-means pass compiled for a CPU: tiles of rows stored feature by feature, so that rows are the lanes."""

from __future__ import annotations

from functools import reduce
from operator import add
from typing import Any

import numpy as np
import torch
from numba import njit
from numpy.typing import NDArray
from torch import Tensor

from .numba_pass import _in_threads, _weights, _workers

__all__ = ["sums"]

Array = NDArray[Any]

_TILE = 256


def sums(x: Tensor, weight: Tensor | None, mean: Tensor) -> tuple[Tensor, Tensor, Tensor]:
    """Returns weight, shift and inertia; see `nearest_pass`."""
    rows, weights = x.numpy(), _weights(x, weight)
    exact = mean.double().numpy()
    centre = exact.mean((0, 1)).astype(rows.dtype)
    centred = (exact - centre).astype(rows.dtype)

    def run(begin: int, end: int) -> tuple[Array, ...]:
        room = np.zeros(exact.shape[:2]), np.zeros(exact.shape), np.zeros(exact.shape[0])
        _sums(rows, begin, end, weights, centre, centred, *room)
        return room

    parts = _in_threads(run, len(rows), _workers(x, mean))
    mass, shift, inertia = (reduce(add, field) for field in zip(*parts, strict=True))
    shift += mass[..., None] * (centred.astype(np.float64) - (exact - centre))  # of the rounding of the centres
    return torch.from_numpy(mass), torch.from_numpy(shift), torch.from_numpy(inertia)


@njit(error_model="numpy", nogil=True, cache=True, fastmath={"contract"})
def _sums(x, begin, end, weight, centre, mean, mass, shift, inertia):
    """Adds the sums of rows [begin, end) to (B, K), (B, K, D) and (B,)."""
    features, tile = x.shape[1], 256
    columns = np.zeros((features, tile), x.dtype)
    distance, best, index = np.zeros(tile, x.dtype), np.zeros(tile, x.dtype), np.zeros(tile, x.dtype)
    for row in range(begin, end, tile):
        count = min(tile, end - row)
        for n in range(count):
            for d in range(features):
                columns[d, n] = x[row + n, d] - centre[d]
        for b in range(mean.shape[0]):
            _search(columns, mean[b], distance, best, index)
            for n in range(count):
                k = int(index[n])
                share = weight[row + n] if weight.size else x.dtype.type(1)
                mass[b, k] += share
                inertia[b] += share * best[n]
                for d in range(features):
                    shift[b, k, d] += share * (columns[d, n] - mean[b, k, d])


@njit(error_model="numpy", nogil=True, cache=True, fastmath={"contract"})
def _search(columns, mean, distance, best, index):
    """Finds the nearest centre of every row of a tile; the index is kept in the type of the rows, to fill one lane."""
    for k in range(mean.shape[0]):
        own, column = mean[k, 0], columns[0]
        for n in range(column.size):
            gap = column[n] - own
            distance[n] = gap * gap
        for d in range(1, mean.shape[1]):
            own, column = mean[k, d], columns[d]
            for n in range(column.size):
                gap = column[n] - own
                distance[n] += gap * gap
        label = mean.dtype.type(k)
        for n in range(distance.size):
            nearer = k == 0 or distance[n] < best[n]
            best[n] = distance[n] if nearer else best[n]
            index[n] = label if nearer else index[n]
