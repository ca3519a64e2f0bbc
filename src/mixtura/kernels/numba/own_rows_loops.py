"""Compiled loops over rows that each have Gaussians of their own: all components of a row side by side.

Arrays are flat, of layouts (row, feature, component) and (row, entry of the triangle, component). `step` is 1 where
each component has its own scale and triangle, and 0 where they share them; the triangle has `depth` rows, none where
coordinates are on their own; residuals end at `most`, slopes at its square.
"""

from typing import NamedTuple

import numpy as np

from .joints import kernel, part

__all__ = ["Sizes", "distances", "slopes"]


class Sizes(NamedTuple):
    """Features, rows of the triangle, components, and how many of them have scales of their own."""

    features: int
    depth: int
    components: int
    shared: int
    step: int


@part
def near(value, most):
    """The value, or the end that it lies beyond; NaN stays."""
    if value > most:
        return most
    return -most if value < -most else value


@part
def solve(x, mean, scale, below, n, size, most, y, z):
    """The residuals of row n in units of the scales, and whitened."""
    triangle = n * (size.depth * (size.depth - 1) // 2)
    for i in range(size.features):
        at, row = i * size.components, x[n * size.features + i]
        here, spread = (n * size.features + i) * size.components, (n * size.features + i) * size.shared
        for k in range(size.components):
            one = near((row - mean[here + k]) / scale[spread + k * size.step], most)
            y[at + k] = one
            z[at + k] = one
        for j in range(min(i, size.depth)):
            entry, before = (triangle + i * (i - 1) // 2 + j) * size.shared, j * size.components
            for k in range(size.components):
                z[at + k] -= below[entry + k * size.step] * z[before + k]
        for k in range(size.components):
            z[at + k] = near(z[at + k], most)


@part
def solve_back(below, n, size, most, z, w):
    """Whitened residuals of row n, whitened once more by the transposed triangle."""
    triangle = n * (size.depth * (size.depth - 1) // 2)
    w[:] = z
    for i in range(size.depth - 1, 0, -1):
        at = i * size.components
        for k in range(size.components):
            w[at + k] = near(w[at + k], most)
        for j in range(i):
            entry, before = (triangle + i * (i - 1) // 2 + j) * size.shared, j * size.components
            for k in range(size.components):
                w[before + k] -= below[entry + k * size.step] * w[at + k]


@part
def sum_of(own, other, less, at, before, n, size):
    """Products of two residuals, each minus a number, summed over components."""
    total = own.dtype.type(0)
    for k in range(size.components):
        total += own[at + k] * other[before + k] - less[n + k]
    return total


@kernel
def distances(x, mean, scale, below, begin, stop, size, most, out):
    """Squared lengths of whitened residuals of rows [begin, stop)."""
    y, z = np.empty(size.features * size.components, x.dtype), np.empty(size.features * size.components, x.dtype)
    for n in range(begin, stop):
        solve(x, mean, scale, below, n, size, most, y, z)
        for k in range(size.components):
            out[n * size.components + k] = 0
        for i in range(size.features):
            for k in range(size.components):
                out[n * size.components + k] += z[i * size.components + k] * z[i * size.components + k]


@kernel
def slopes(x, mean, scale, below, share, begin, stop, size, most, none, means, scales, triangles):
    """Slopes in means, scales and triangles of rows [begin, stop); `none` are as many zeros as components."""
    room = size.features * size.components
    y, z, w = np.empty(room, x.dtype), np.empty(room, x.dtype), np.empty(room, x.dtype)
    end = most * most
    for n in range(begin, stop):
        solve(x, mean, scale, below, n, size, most, y, z)
        solve_back(below, n, size, most, z, w)
        triangle, own = n * (size.depth * (size.depth - 1) // 2), n * size.components
        for i in range(size.features):
            at, here = i * size.components, (n * size.features + i) * size.components
            spread = (n * size.features + i) * size.shared
            for k in range(size.components):
                w[at + k] = near(w[at + k], most) * share[own + k]
                means[here + k] = near(w[at + k] / scale[spread + k * size.step], end)
            for k in range(size.shared if size.step == 1 else 0):
                slope = (w[at + k] * y[at + k] - share[own + k]) / scale[spread + k]
                scales[spread + k] = near(slope, end)
            if size.step == 0:
                scales[spread] = near(sum_of(w, y, share, at, at, own, size) / scale[spread], end)
            for j in range(min(i, size.depth)):
                entry, before = (triangle + i * (i - 1) // 2 + j) * size.shared, j * size.components
                for k in range(size.shared if size.step == 1 else 0):
                    triangles[entry + k] = w[at + k] * z[before + k]
                if size.step == 0:
                    triangles[entry] = near(sum_of(w, z, none, at, before, 0, size), end)
