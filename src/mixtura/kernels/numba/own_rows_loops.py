"""Compiled loops over rows that each have Gaussians of their own: a vector of components of a row at a time.

Arrays are flat, of layouts (row, feature, component) and (row, entry of the triangle, component). `step` is 1 where
each component has its own scale and triangle, and 0 where they share them; the triangle has `depth` rows, none where
coordinates are on their own; residuals end at `most`, slopes at its square. Of y, z and w there is one vector for each
feature. Lanes after the last component have a scale of one and count for nothing.
"""

from typing import NamedTuple

import numpy as np

from .joints import kernel, part
from .vector import load_some, number, splat, store, store_some, total, where_less

__all__ = ["Sizes", "distances", "slopes"]


class Sizes(NamedTuple):
    """Features, rows of the triangle, components, how many of them have scales of their own, and lanes of a vector."""

    features: int
    depth: int
    components: int
    shared: int
    step: int
    lanes: int


@part
def near(value, most):
    """The values, or the end that they lie beyond; NaN stays."""
    below = where_less(most, value, most, value)
    least = splat(0.0, most) - most
    return where_less(below, least, least, below)


@part
def own(array, at, k, size, other):
    """Numbers of components from k on, which stand at an entry, or the one that they share there."""
    if size.step:
        return load_some(array, at * size.components + k, size.components - k, other)
    return splat(number(array, at), load_some(array, at, 1, other))


@part
def solve(x, mean, scale, below, n, k, size, most, y, z):
    """The residuals of row n in units of the scales, and whitened, of components from k on."""
    triangle = n * (size.depth * (size.depth - 1) // 2)
    for i in range(size.features):
        entry = n * size.features + i
        centre = load_some(mean, entry * size.components + k, size.components - k, 0.0)
        one = near((splat(number(x, entry), most) - centre) / own(scale, entry, k, size, 1.0), most)
        store(y, i * size.lanes, one)
        for j in range(min(i, size.depth)):
            slope = own(below, triangle + i * (i - 1) // 2 + j, k, size, 0.0)
            one = one - slope * load_some(z, j * size.lanes, size.lanes, 0.0)
        store(z, i * size.lanes, near(one, most))


@part
def solve_back(below, n, k, size, most, z, w):
    """Whitened residuals of row n, whitened once more by the transposed triangle."""
    triangle = n * (size.depth * (size.depth - 1) // 2)
    w[:] = z
    for i in range(size.depth - 1, 0, -1):
        one = near(load_some(w, i * size.lanes, size.lanes, 0.0), most)
        for j in range(i):
            slope = own(below, triangle + i * (i - 1) // 2 + j, k, size, 0.0)
            store(w, j * size.lanes, load_some(w, j * size.lanes, size.lanes, 0.0) - slope * one)


@part
def keep(array, at, k, value, size, most):
    """Writes slopes of components from k on to an entry, or adds them up where they share it; none beyond the end."""
    if size.step:
        store_some(array, at * size.components + k, near(value, most), size.components - k)
    else:
        before = number(array, at) if k else array.dtype.type(0)
        store_some(array, at, near(splat(before + total(value), most), most), 1)


@kernel
def distances(x, mean, scale, below, begin, stop, size, most, out):
    """Squared lengths of whitened residuals of rows [begin, stop)."""
    y, z = np.empty(size.features * size.lanes, x.dtype), np.empty(size.features * size.lanes, x.dtype)
    end = splat(most, load_some(y, 0, 0, 0.0))
    for n in range(begin, stop):
        for k in range(0, size.components, size.lanes):
            solve(x, mean, scale, below, n, k, size, end, y, z)
            squared = splat(0.0, end)
            for i in range(size.features):
                one = load_some(z, i * size.lanes, size.lanes, 0.0)
                squared = squared + one * one
            store_some(out, n * size.components + k, squared, size.components - k)


@kernel
def slopes(x, mean, scale, below, share, begin, stop, size, most, means, scales, triangles):
    """Slopes in means, scales and triangles of rows [begin, stop)."""
    room = size.features * size.lanes
    y, z, w = np.empty(room, x.dtype), np.empty(room, x.dtype), np.empty(room, x.dtype)
    end = splat(most, load_some(y, 0, 0, 0.0))
    for n in range(begin, stop):
        for k in range(0, size.components, size.lanes):
            solve(x, mean, scale, below, n, k, size, end, y, z)
            solve_back(below, n, k, size, end, z, w)
            write(scale, share, n, k, size, end, y, z, w, means, scales, triangles)


@part
def write(scale, share, n, k, size, most, y, z, w, means, scales, triangles):
    """The slopes of row n in the numbers of components from k on."""
    left, triangle = size.components - k, n * (size.depth * (size.depth - 1) // 2)
    counts, far = load_some(share, n * size.components + k, left, 0.0), most * most
    for i in range(size.features):
        entry, spread = n * size.features + i, own(scale, n * size.features + i, k, size, 1.0)
        pull = near(load_some(w, i * size.lanes, size.lanes, 0.0), most) * counts
        store_some(means, entry * size.components + k, near(pull / spread, far), left)
        keep(scales, entry, k, (pull * load_some(y, i * size.lanes, size.lanes, 0.0) - counts) / spread, size, far)
        for j in range(min(i, size.depth)):
            slope = pull * load_some(z, j * size.lanes, size.lanes, 0.0)
            keep(triangles, triangle + i * (i - 1) // 2 + j, k, slope, size, far)
