r"""The Gaussian passes compiled for a CPU: fused loops over tiles of rows.

A tile is a few panels of rows, stored feature by feature so that the lanes of a panel are rows. Every
component meets a tile while it is in the cache: log joint from the squared length of
:math:`W_k (x - c) - W_k (\mu_k - c)` (lower triangle only), softmax over components; then each component adds
its moments, from residuals about its own mean:

.. math:: \sum_n r_{nk} t_{nk} t_{nk}^\top = \sum_n y_n y_n^\top,
          \qquad t_{nk} = x_n - \mu_k, \quad y_n = \sqrt{r_{nk}}\, t_{nk} .

When all components share W, rows are whitened once, and the pooled scatter needs no loop over components: with
responsibilities p that sum to one and :math:`e_n = x_n - \sum_k p_{nk} \mu_k`,

.. math:: \sum_{nk} w_n p_{nk} t_{nk} t_{nk}^\top = \sum_n w_n e_n e_n^\top
          + \tfrac12 \sum_{kl} G_{kl} (\mu_k - \mu_l)(\mu_k - \mu_l)^\top,
          \qquad G = \sum_n w_n p_n p_n^\top,

a sum of positive terms. Numbers keep the type of the rows within a tile and are added up in float64 across tiles.

Layouts are flat: tiles (panel, feature, lane), joints (panel, component, lane), parameters (restart, component,
feature, ...). Triangles need an even number of features, and shared ones of components: what is added has zero
factors and logits of minus infinity. Whitening factors come divided by :math:`\sqrt 2`, so that a log joint is a
logit minus a squared length.
"""

from typing import NamedTuple

import numpy as np
from numba import njit

from .vector import exp, fma, largest, load_panel, log, number, root, splat, store, total, transpose

__all__ = [
    "Shape",
    "diagonal_density",
    "diagonal_sums",
    "full_density",
    "full_sums",
    "tied_density",
    "tied_sums",
]

part = njit(error_model="numpy", forceinline=True)
kernel = njit(error_model="numpy", nogil=True, cache=True)

_SQUARE = 8  # columns of a tile that fit the first cache twice; even


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
        squares = size.real // size.vector * size.vector if rows == size.width else 0
        for lane in range(0, rows if squares else 0, size.vector):
            for d in range(0, squares, size.vector):
                start = (first + lane) * size.real + d
                transpose(x, start, size.real, centre, d, columns, at + d * size.width + lane, size.width)
        for lane in range(rows):
            for d in range(squares, size.real):
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


@part
def softmax(joint, p, size):
    """Log joints of a panel become responsibilities; returns the log density."""
    at = p * size.components * size.width
    top = load_panel(joint, at)
    for k in range(1, size.components):
        top = largest(load_panel(joint, at + k * size.width), top)
    mass = splat(0.0, top)
    for k in range(size.components):
        value = exp(load_panel(joint, at + k * size.width) - top)
        store(joint, at + k * size.width, value)
        mass = mass + value
    scale = splat(1.0, mass) / mass
    for k in range(size.components):
        store(joint, at + k * size.width, load_panel(joint, at + k * size.width) * scale)
    return top + log(mass)


@part
def believe(joint, size, share):
    """Log joints of a tile become responsibilities; returns the weighted log-likelihood."""
    likelihood = 0.0
    for p in range(size.panels):
        likelihood += total(load_panel(share, p * size.width) * softmax(joint, p, size))
    return likelihood


@part
def claim(joint, size, share, mass):
    """Responsibilities of a tile become weighted; adds their sums to mass."""
    for k in range(size.components):
        added = splat(0.0, load_panel(joint, 0))
        for p in range(size.panels):
            at = (p * size.components + k) * size.width
            value = load_panel(share, p * size.width) * load_panel(joint, at)
            store(joint, at, value)
            added = added + value
        mass[k] += total(added)


@part
def weigh(columns, joint, mean, m, k, size, halves, y, shift):
    """y = sqrt(r) (x - mean) over a tile; adds the sum of r (x - mean) to shift."""
    for p in range(size.panels):
        store(halves, p * size.width, root(load_panel(joint, (p * size.components + k) * size.width)))
    for d in range(size.features):
        added = splat(0.0, load_panel(columns, 0))
        centre = splat(number(mean, m + d), added)
        for p in range(size.panels):
            at, half = (p * size.features + d) * size.width, load_panel(halves, p * size.width)
            value = half * (load_panel(columns, at) - centre)
            store(y, at, value)
            added = fma(half, value, added)
        shift[d] += total(added)


@part
def spread(columns, joint, mean, b, size, shift, scatter):
    """Adds the sums of r (x - mean) and of r (x - mean)^2 over a tile, a few columns at a time."""
    for left in range(0, size.features, _SQUARE):
        for k in range(size.components):
            for d in range(left, min(left + _SQUARE, size.features)):
                first = splat(0.0, load_panel(columns, 0))
                second = first
                centre = splat(number(mean, (b * size.components + k) * size.features + d), first)
                for p in range(size.panels):
                    t = load_panel(columns, (p * size.features + d) * size.width) - centre
                    weighed = load_panel(joint, (p * size.components + k) * size.width) * t
                    first, second = first + weighed, fma(weighed, t, second)
                shift[k, d] += total(first)
                scatter[k, d] += total(second)


@part
def move(columns, joint, mean, b, size, shift):
    """Adds the sum of r (x - mean) over a tile, a few columns at a time."""
    for left in range(0, size.features, _SQUARE):
        for k in range(size.components):
            for d in range(left, min(left + _SQUARE, size.features)):
                added = splat(0.0, load_panel(columns, 0))
                centre = splat(number(mean, (b * size.components + k) * size.features + d), added)
                for p in range(size.panels):
                    t = load_panel(columns, (p * size.features + d) * size.width) - centre
                    added = fma(load_panel(joint, (p * size.components + k) * size.width), t, added)
                shift[k, d] += total(added)


@part
def disperse(joint, squared, size, scatter):
    """Adds the sums of r times squared distances of a tile."""
    for k in range(size.components):
        added = splat(0.0, load_panel(joint, 0))
        for p in range(size.panels):
            at = (p * size.components + k) * size.width
            added = fma(load_panel(joint, at), load_panel(squared, at), added)
        scatter[k] += total(added)


@part
def gram(y, features, size, scatter):
    """Adds the sum of y y^T over a tile to the lower triangle of scatter, in squares that stay in the cache."""
    for top in range(0, features, _SQUARE):
        for left in range(0, top + _SQUARE, _SQUARE):
            for i in range(top, min(top + _SQUARE, features), 2):
                for j in range(left, min(left + _SQUARE, i + 2), 2):
                    products(y, features, i, j, size, scatter)


@part
def products(y, features, i, j, size, scatter):
    """Adds the products of columns i and i + 1 with j and j + 1 of a tile to scatter."""
    a = splat(0.0, load_panel(y, 0))
    b, c, d = a, a, a
    for p in range(size.panels):
        row, column = (p * features + i) * size.width, (p * features + j) * size.width
        u, v = load_panel(y, row), load_panel(y, row + size.width)
        s, t = load_panel(y, column), load_panel(y, column + size.width)
        a, b, c, d = fma(u, s, a), fma(u, t, b), fma(v, s, c), fma(v, t, d)
    scatter[i, j] += total(a)
    scatter[i, j + 1] += total(b)
    scatter[i + 1, j] += total(c)
    scatter[i + 1, j + 1] += total(d)


@part
def leave(columns, joint, mean, b, size, share, halves, y):
    """y = sqrt(w) (x - sum of responsibility times mean); the joint becomes sqrt(w) times responsibility."""
    features, components, width = size.features, size.components, size.width
    for p in range(size.panels):
        half = root(load_panel(share, p * width))
        store(halves, p * width, half)
        for d in range(features):
            t = load_panel(columns, (p * features + d) * width)
            for k in range(components):
                centre = number(mean, (b * components + k) * features + d)
                t = fma(-centre, load_panel(joint, (p * components + k) * width), t)
            store(y, (p * features + d) * width, half * t)
        for k in range(components):
            at = (p * components + k) * width
            store(joint, at, half * load_panel(joint, at))


@part
def record(joint, begin, stop, b, size, count, density, joints):
    """Write log joints of a tile where they are wanted, else log densities."""
    for p in range(size.panels):
        at, row = p * size.components * size.width, begin + p * size.width
        rows = max(0, min(size.width, stop - row))
        for k in range(count if joints.size else 0):
            for lane in range(rows):
                joints[row + lane, b, k] = joint[at + k * size.width + lane]
        if density.size:
            store(joint, at, softmax(joint, p, size))
            for lane in range(rows):
                density[row + lane, b] = joint[at + lane]


@part
def empty(x, size, count):
    """A tile with room for so many columns, where registers load from single cache lines; zero at first."""
    space = np.zeros(size.panels * count * size.width + size.vector, x.dtype)
    start = (-(space.ctypes.data // x.itemsize)) % size.vector
    return space[start : start + space.size - size.vector]


@kernel
def full_sums(x, begin, stop, weight, centre, mean, factor, offset, logits, size, likelihood, mass, shift, scatter):
    """Sums over rows [begin, stop), a triangle a component, added to (B,), (B, K), (B, K, D), (B, K, D, D)."""
    columns, y = empty(x, size, size.features), empty(x, size, size.features)
    joint, share, halves = empty(x, size, size.components), empty(x, size, 1), empty(x, size, 1)
    for row in range(begin, stop, share.size):
        gather(x, row, stop, centre, size, columns)
        take(weight, row, stop, share)
        for b in range(size.restarts):
            full_joint(columns, factor, offset, logits, b, size, joint)
            likelihood[b] += believe(joint, size, share)
            claim(joint, size, share, mass[b])
            for k in range(size.components):
                m = (b * size.components + k) * size.features
                weigh(columns, joint, mean, m, k, size, halves, y, shift[b, k])
                gram(y, size.features, size, scatter[b, k])


@kernel
def diagonal_sums(x, begin, stop, weight, centre, mean, factor, offset, logits, size, likelihood, mass, shift, scatter):
    """Sums over rows [begin, stop), a factor a feature, added to (B,), (B, K), (B, K, D), (B, K, D)."""
    columns, joint = empty(x, size, size.features), empty(x, size, size.components)
    share = empty(x, size, 1)
    for row in range(begin, stop, share.size):
        gather(x, row, stop, centre, size, columns)
        take(weight, row, stop, share)
        for b in range(size.restarts):
            diagonal_joint(columns, factor, offset, logits, b, size, joint)
            likelihood[b] += believe(joint, size, share)
            claim(joint, size, share, mass[b])
            spread(columns, joint, mean, b, size, shift[b], scatter[b])


@kernel
def spherical_sums(x, begin, stop, weight, centre, mean, precision, logits, size, likelihood, mass, shift, scatter):
    """Sums over rows [begin, stop), a factor a component, added to (B,), (B, K), (B, K, D), (B, K)."""
    columns, joint, squared = (
        empty(x, size, size.features),
        empty(x, size, size.components),
        empty(x, size, size.components),
    )
    share = empty(x, size, 1)
    for row in range(begin, stop, share.size):
        gather(x, row, stop, centre, size, columns)
        take(weight, row, stop, share)
        for b in range(size.restarts):
            spherical_joint(columns, mean, precision, logits, b, size, joint, squared)
            likelihood[b] += believe(joint, size, share)
            claim(joint, size, share, mass[b])
            move(columns, joint, mean, b, size, shift[b])
            disperse(joint, squared, size, scatter[b])


@kernel
def tied_sums(
    x, begin, stop, weight, centre, mean, triangles, zeros, ones, offset, logits, size,
    likelihood, mass, shift, scatter, between,
):  # fmt: skip
    """Sums over rows [begin, stop), a triangle a restart, added to (B,), (B, K), (B, K, D), (B, D, D), (B, K, K)."""
    columns, y = empty(x, size, size.features), empty(x, size, size.features)
    joint, share, halves = empty(x, size, size.components), empty(x, size, 1), empty(x, size, 1)
    for row in range(begin, stop, share.size):
        gather(x, row, stop, centre, size, columns)
        take(weight, row, stop, share)
        for b in range(size.restarts):
            whiten(columns, triangles, zeros, b, size, y)
            diagonal_joint(y, ones, offset, logits, b, size, joint)
            likelihood[b] += believe(joint, size, share)
            leave(columns, joint, mean, b, size, share, halves, y)
            gram(y, size.features, size, scatter[b])
            gram(joint, size.components, size, between[b])
            claim(joint, size, halves, mass[b])
            move(columns, joint, mean, b, size, shift[b])


@kernel
def full_density(x, begin, stop, centre, factor, offset, logits, size, count, density, joints):
    """Log densities (N, B) or log joints (N, B, K), whichever is not empty, for a triangle a component."""
    columns, joint = empty(x, size, size.features), empty(x, size, size.components)
    for row in range(begin, stop, size.panels * size.width):
        gather(x, row, stop, centre, size, columns)
        for b in range(size.restarts):
            full_joint(columns, factor, offset, logits, b, size, joint)
            record(joint, row, stop, b, size, count, density, joints)


@kernel
def diagonal_density(x, begin, stop, centre, factor, offset, logits, size, count, density, joints):
    """The same for a factor a feature."""
    columns, joint = empty(x, size, size.features), empty(x, size, size.components)
    for row in range(begin, stop, size.panels * size.width):
        gather(x, row, stop, centre, size, columns)
        for b in range(size.restarts):
            diagonal_joint(columns, factor, offset, logits, b, size, joint)
            record(joint, row, stop, b, size, count, density, joints)


@kernel
def tied_density(x, begin, stop, centre, triangles, zeros, ones, offset, logits, size, count, density, joints):
    """The same for a triangle a restart."""
    columns, z = empty(x, size, size.features), empty(x, size, size.features)
    joint = empty(x, size, size.components)
    for row in range(begin, stop, size.panels * size.width):
        gather(x, row, stop, centre, size, columns)
        for b in range(size.restarts):
            whiten(columns, triangles, zeros, b, size, z)
            diagonal_joint(z, ones, offset, logits, b, size, joint)
            record(joint, row, stop, b, size, count, density, joints)
