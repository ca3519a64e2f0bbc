r"""From tiles of rows to log joints and responsibilities, compiled for a CPU.

A tile is a few panels of rows, stored feature by feature so that the lanes of a panel are rows. Every
component meets a tile while it is in the cache: log joint from the squared length of
:math:`W_k (x - c) - W_k (\mu_k - c)` (lower triangle only), softmax over components. Numbers keep the type of the
rows within a tile and are added up in float64 across tiles.

Layouts are flat: tiles (panel, feature, lane), joints (panel, component, lane), parameters (restart, component,
feature, ...). Triangles need an even number of features, and shared ones of components: what is added has zero
factors and logits of minus infinity. Whitening factors come divided by :math:`\sqrt 2`, so that a log joint is a
logit minus a squared length.

Parts are written into the loops that call them. Numba keeps compiled loops on disk by the date of the loop's own file:
whoever changes a part touches the files whose loops use it.
"""

from types import FunctionType
from typing import NamedTuple

from numba import njit

from ..native import panels
from . import vector
from .jit import ENTRY, UNWRAPPED
from .vector import fma, load_panel, number, splat, store, total, transpose

__all__ = [
    "Shape",
    "believe",
    "diagonal_joint",
    "full_joint",
    "gather",
    "kernel",
    "part",
    "softmax",
    "spherical_joint",
    "take",
    "triangle",
    "whiten",
]

part = njit(error_model="numpy", forceinline=True, **UNWRAPPED)
kernel = njit(error_model="numpy", nogil=True, cache=True, **ENTRY)


class Shape(NamedTuple):
    """Components and features as padded, real features; panels in a tile, rows in a panel and in a vector."""

    restarts: int
    components: int
    features: int
    real: int
    panels: int
    width: int
    vector: int


@part
def gather(x, begin, stop, centre, size, columns):
    """Rows [begin, stop) as centred columns; rows after the last are at the centre."""
    if stop - begin < size.panels * size.width:
        columns[:] = 0
    for p in range(size.panels):
        first, at = begin + p * size.width, p * size.features * size.width
        rows = min(size.width, stop - first)
        square = size.real >= size.vector and rows == size.width
        for lane in range(0, rows if square else 0, size.vector):
            for d in range(0, size.real, size.vector):  # the last square may overlap the one before
                left = min(d, size.real - size.vector)
                start = (first + lane) * size.real + left
                transpose(x, start, size.real, centre, left, columns, at + left * size.width + lane, size.width)
        for lane in range(0 if square else rows):
            for d in range(size.real):
                columns[at + d * size.width + lane] = x[(first + lane) * size.real + d] - centre[d]


@part
def take(weight, begin, stop, share):
    """Weights of the rows [begin, stop), one each where none are given, zero after the last."""
    for n in range(share.size):
        share[n] = 0 if begin + n >= stop else weight[begin + n] if weight.size else 1


@part
def triangle(columns, at, factor, f, offset, o, features, i, width):
    """Rows i and i + 1 of a lower triangular matrix times a panel, plus an offset."""
    like, row = load_panel(columns, at), f + i * features
    first, second = splat(number(offset, o + i), like), splat(number(offset, o + i + 1), like)
    for j in range(i + 2):
        t = load_panel(columns, at + j * width)
        first = fma(number(factor, row + j), t, first)
        second = fma(number(factor, row + features + j), t, second)
    return first, second


@part
def full_joint(columns, factor, offset, logits, b, size, joint):
    """Log joints of a tile under the components of a restart, each with its own triangle."""
    features, width = size.features, size.width
    for k in range(size.components):
        c = b * size.components + k
        f, o = c * features * features, c * features
        for p in range(size.panels):
            at = p * features * width
            value = splat(number(logits, c), load_panel(columns, at))
            for i in range(0, features, 2):
                first, second = triangle(columns, at, factor, f, offset, o, features, i, width)
                value = value - fma(first, first, second * second)
            store(joint, (p * size.components + k) * width, value)


@part
def diagonal_joint(columns, factor, offset, logits, b, size, joint):
    """Log joints of a tile under the components of a restart, with a factor per feature."""
    for p in range(size.panels):
        for k in range(size.components):
            c = b * size.components + k
            squared = splat(0.0, load_panel(columns, 0))
            for d in range(size.features):
                t, o = load_panel(columns, (p * size.features + d) * size.width), c * size.features + d
                z = fma(number(factor, o), t, splat(number(offset, o), t))
                squared = fma(z, z, squared)
            store(joint, (p * size.components + k) * size.width, splat(number(logits, c), squared) - squared)


@part
def spherical_joint(columns, mean, precision, logits, b, size, joint, squared):
    """Log joints of a tile under the components of a restart, with one factor, and squared distances."""
    for p in range(size.panels):
        for k in range(size.components):
            c = b * size.components + k
            distance = splat(0.0, load_panel(columns, 0))
            for d in range(size.features):
                t = load_panel(columns, (p * size.features + d) * size.width)
                t = t - splat(number(mean, c * size.features + d), t)
                distance = fma(t, t, distance)
            at = (p * size.components + k) * size.width
            store(squared, at, distance)
            store(joint, at, fma(-number(precision, c), distance, splat(number(logits, c), distance)))


@part
def whiten(columns, factor, offset, b, size, z):
    """A tile times the one triangle of a restart."""
    features, width = size.features, size.width
    for p in range(size.panels):
        at = p * features * width
        for i in range(0, features, 2):
            first, second = triangle(
                columns, at, factor, b * features * features, offset, b * features, features, i, width
            )
            store(z, at + i * width, first)
            store(z, at + (i + 1) * width, second)


softmax = part(FunctionType(panels.softmax.function.__code__, {**vars(vector)}))
"""Log joints of a panel become responsibilities; returns the log density. That of `panels`, on numba's vectors."""


@part
def believe(joint, size, share):
    """Log joints of a tile become responsibilities; returns the weighted log-likelihood."""
    likelihood = 0.0
    for p in range(size.panels):
        density = softmax(joint, p * size.components * size.width, size.components, size.width)
        likelihood += total(load_panel(share, p * size.width) * density)
    return likelihood
