"""The K-means pass compiled for a CPU: tiles of rows stored feature by feature, so that rows are the lanes."""

import numpy as np

from .joints import gather, kernel, part
from .vector import fma, load_panel, number, splat, store, where_less

__all__ = ["nearest_sums"]


@kernel
def nearest_sums(x, begin, end, weight, centre, mean, size, mass, first, inertia):
    """Adds the sums of rows [begin, end), less the common centre, to (B, K), (B, K, D) made flat, and (B,)."""
    features, width = size.features, size.width
    columns = np.zeros(size.panels * features * width, x.dtype)
    best, index = np.zeros(width, x.dtype), np.zeros(width, x.dtype)
    for row in range(begin, end, size.panels * width):
        gather(x, row, end, centre, size, columns)
        for b in range(size.restarts):
            for p in range(min(size.panels, (end - row + width - 1) // width)):
                _search(columns, p * features * width, mean, b, size, best, index)
                start = row + p * width
                for lane in range(min(width, end - start)):
                    k, share = int(index[lane]), weight[start + lane] if weight.size else 1.0
                    mass[b, k] += share
                    inertia[b] += share * best[lane]
                    at, own = (start + lane) * features, (b * size.components + k) * features
                    for d in range(features):
                        first[own + d] += share * (x[at + d] - centre[d])


@part
def _search(columns, at, mean, b, size, best, index):
    """Finds the nearest centre of a panel of rows; its index is kept in the type of the rows, to fill one lane."""
    least = _distance(columns, at, mean, b * size.components * size.features, size)
    nearest = splat(0.0, least)
    for k in range(1, size.components):
        squared = _distance(columns, at, mean, (b * size.components + k) * size.features, size)
        nearest = where_less(squared, least, splat(k, least), nearest)
        least = where_less(squared, least, squared, least)
    store(best, 0, least)
    store(index, 0, nearest)


@part
def _distance(columns, at, mean, m, size):
    """Squared distances of a panel of rows from one centre."""
    squared = splat(0.0, load_panel(columns, at))
    for d in range(size.features):
        gap = load_panel(columns, at + d * size.width) - splat(number(mean, m + d), squared)
        squared = fma(gap, gap, squared)
    return squared
