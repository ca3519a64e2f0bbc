r"""The Gaussian passes compiled for a CPU: fused loops over tiles of rows.

A tile is a few panels of rows, stored feature by feature so that the lanes of a panel are rows. Every component meets a
tile while it is in the cache: residual :math:`t = x - \mu_k`, log joint from the distance :math:`|W_k t|^2` (lower
triangle only), softmax over components; then each component adds its moments, again from residuals about its own mean:

.. math:: \sum_n r_{nk} t_n t_n^\top = \sum_n y_n y_n^\top, \qquad y_n = \sqrt{r_{nk}}\, t_n .

When all components share W, rows are whitened once, and the pooled scatter needs no loop over components: with
responsibilities p that sum to one and :math:`e_n = x_n - \sum_k p_{nk} \mu_k`,

.. math:: \sum_{nk} w_n p_{nk} t_{nk} t_{nk}^\top = \sum_n w_n e_n e_n^\top
          + \tfrac12 \sum_{kl} G_{kl} (\mu_k - \mu_l)(\mu_k - \mu_l)^\top, \qquad G = \sum_n w_n p_n p_n^\top,

a sum of positive terms. Numbers keep the type of the rows within a tile and are added up in float64 across tiles.

Layouts are flat: tiles (panel, feature, lane), joints (panel, component, lane), parameters (restart, component,
feature, ...). Features and components come padded to even numbers, with zero factors and logits of minus infinity.
Whitening factors come divided by :math:`\sqrt 2`, so that a log joint is a logit minus a squared distance.
"""

from typing import NamedTuple

import numpy as np
from numba import njit

from .vector import exp, fma, largest, load_panel, log, number, root, splat, store, total

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


class Shape(NamedTuple):
    """Sizes, all padded; a tile has so many panels of so many rows."""

    restarts: int
    components: int
    features: int
    panels: int
    width: int


@part
def gather(x, begin, stop, centre, size, columns):
    """Rows [begin, stop) as centred columns; rows and features that are not there are at the centre."""
    for p in range(size.panels):
        for d in range(size.features):
            at = (p * size.features + d) * size.width
            rows = max(0, min(size.width, stop - begin - p * size.width)) if d < x.shape[1] else 0
            for lane in range(rows):
                columns[at + lane] = x[begin + p * size.width + lane, d] - centre[d]
            for lane in range(rows, size.width):
                columns[at + lane] = 0


@part
def take(weight, begin, stop, share):
    """Weights of the rows [begin, stop), one each where none are given, zero after the last."""
    for n in range(share.size):
        share[n] = 0 if begin + n >= stop else weight[begin + n] if weight.size else 1


@part
def triangle(source, at, factor, f, features, i, width):
    """Rows i and i + 1 of a lower triangular matrix times a panel."""
    first = splat(0.0, load_panel(source, at))
    second, row = first, f + i * features
    for j in range(i + 2):
        t = load_panel(source, at + j * width)
        first = fma(number(factor, row + j), t, first)
        second = fma(number(factor, row + features + j), t, second)
    return first, second


@part
def subtract(columns, at, mean, m, size, residual):
    """Residual of a panel about one mean."""
    for d in range(size.features):
        t = load_panel(columns, at + d * size.width)
        store(residual, d * size.width, t - splat(number(mean, m + d), t))


@part
def full_joint(columns, mean, factor, logits, b, size, residual, joint):
    """Log joints of a tile under the components of a restart, each with its own triangle."""
    features, width = size.features, size.width
    for k in range(size.components):
        c = b * size.components + k
        for p in range(size.panels):
            subtract(columns, p * features * width, mean, c * features, size, residual)
            value = splat(number(logits, c), load_panel(columns, 0))
            for i in range(0, features, 2):
                first, second = triangle(residual, 0, factor, c * features * features, features, i, width)
                value = value - fma(first, first, second * second)
            store(joint, (p * size.components + k) * width, value)


@part
def diagonal_joint(columns, mean, factor, logits, b, size, joint):
    """Log joints of a tile under the components of a restart, with a factor per feature."""
    for k in range(size.components):
        c = b * size.components + k
        for p in range(size.panels):
            squared = splat(0.0, load_panel(columns, 0))
            for d in range(size.features):
                t = load_panel(columns, (p * size.features + d) * size.width)
                z = splat(number(factor, c * size.features + d), t) * (
                    t - splat(number(mean, c * size.features + d), t)
                )
                squared = fma(z, z, squared)
            store(joint, (p * size.components + k) * size.width, splat(number(logits, c), squared) - squared)


@part
def whiten(columns, factor, b, size, z):
    """A tile times the one triangle of a restart."""
    features, width = size.features, size.width
    for p in range(size.panels):
        at = p * features * width
        for i in range(0, features, 2):
            first, second = triangle(columns, at, factor, b * features * features, features, i, width)
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
def claim(joint, k, size, share, r):
    """Weighted responsibilities of a tile for a component; returns their sum."""
    mass = splat(0.0, load_panel(joint, 0))
    for p in range(size.panels):
        value = load_panel(share, p * size.width) * load_panel(joint, (p * size.components + k) * size.width)
        store(r, p * size.width, value)
        mass = mass + value
    return total(mass)


@part
def weigh(columns, mean, m, r, size, y, shift):
    """y = sqrt(r) (x - mean) over a tile; adds the sum of r (x - mean) to shift."""
    for d in range(size.features):
        added = splat(0.0, load_panel(columns, 0))
        centre = splat(number(mean, m + d), added)
        for p in range(size.panels):
            at = (p * size.features + d) * size.width
            t, share = load_panel(columns, at) - centre, load_panel(r, p * size.width)
            added = fma(share, t, added)
            store(y, at, root(share) * t)
        shift[d] += total(added)


@part
def spread(columns, mean, m, r, size, shift, scatter):
    """Adds the sums of r (x - mean) and of r (x - mean)^2 over a tile."""
    for d in range(size.features):
        first = splat(0.0, load_panel(columns, 0))
        second, centre = first, splat(number(mean, m + d), first)
        for p in range(size.panels):
            t = load_panel(columns, (p * size.features + d) * size.width) - centre
            weighed = load_panel(r, p * size.width) * t
            first, second = first + weighed, fma(weighed, t, second)
        shift[d] += total(first)
        scatter[d] += total(second)


@part
def gram(y, features, size, scatter):
    """Adds the sum of y y^T over a tile to the lower triangle of scatter, two rows by two at a time."""
    width = size.width
    for i in range(0, features, 2):
        for j in range(0, i + 2, 2):
            a = splat(0.0, load_panel(y, 0))
            b, c, d = a, a, a
            for p in range(size.panels):
                row, column = (p * features + i) * width, (p * features + j) * width
                u, v = load_panel(y, row), load_panel(y, row + width)
                s, t = load_panel(y, column), load_panel(y, column + width)
                a, b, c, d = fma(u, s, a), fma(u, t, b), fma(v, s, c), fma(v, t, d)
            scatter[i, j] += total(a)
            scatter[i, j + 1] += total(b)
            scatter[i + 1, j] += total(c)
            scatter[i + 1, j + 1] += total(d)


@part
def leave(columns, joint, mean, b, size, share, y):
    """y = sqrt(w) (x - sum of responsibility times mean); the joint becomes sqrt(w) times responsibility."""
    features, components, width = size.features, size.components, size.width
    for p in range(size.panels):
        weight = root(load_panel(share, p * width))
        for d in range(features):
            t = load_panel(columns, (p * features + d) * width)
            for k in range(components):
                centre = number(mean, (b * components + k) * features + d)
                t = fma(-centre, load_panel(joint, (p * components + k) * width), t)
            store(y, (p * features + d) * width, weight * t)
        for k in range(components):
            at = (p * components + k) * width
            store(joint, at, weight * load_panel(joint, at))


@part
def move(columns, mean, m, r, size, shift):
    """Adds the sum of r (x - mean) over a tile."""
    for d in range(size.features):
        added = splat(0.0, load_panel(columns, 0))
        centre = splat(number(mean, m + d), added)
        for p in range(size.panels):
            t = load_panel(columns, (p * size.features + d) * size.width) - centre
            added = fma(load_panel(r, p * size.width), t, added)
        shift[d] += total(added)


@part
def record(joint, begin, stop, b, size, real, density, joints):
    """Write log joints of a tile where they are wanted, else log densities."""
    for p in range(size.panels):
        at, row = p * size.components * size.width, begin + p * size.width
        rows = max(0, min(size.width, stop - row))
        for k in range(real if joints.size else 0):
            for lane in range(rows):
                joints[row + lane, b, k] = joint[at + k * size.width + lane]
        if density.size:
            store(joint, at, softmax(joint, p, size))
            for lane in range(rows):
                density[row + lane, b] = joint[at + lane]


@part
def empty(x, panels, count, width):
    """Room for so many columns of a tile."""
    return np.empty(panels * count * width, x.dtype)


@kernel
def full_sums(x, begin, stop, weight, centre, mean, factor, logits, size, likelihood, mass, shift, scatter):
    """Sums over rows [begin, stop) for one triangle a component, added to (B,), (B, K), (B, K, D), (B, K, D, D)."""
    columns, y = (
        empty(x, size.panels, size.features, size.width),
        empty(x, size.panels, size.features, size.width),
    )
    joint = empty(x, size.panels, size.components, size.width)
    share, r = empty(x, size.panels, 1, size.width), empty(x, size.panels, 1, size.width)
    for row in range(begin, stop, share.size):
        gather(x, row, stop, centre, size, columns)
        take(weight, row, stop, share)
        for b in range(size.restarts):
            full_joint(columns, mean, factor, logits, b, size, y, joint)
            likelihood[b] += believe(joint, size, share)
            for k in range(size.components):
                mass[b, k] += claim(joint, k, size, share, r)
                weigh(columns, mean, (b * size.components + k) * size.features, r, size, y, shift[b, k])
                gram(y, size.features, size, scatter[b, k])


@kernel
def diagonal_sums(
    x, begin, stop, weight, centre, mean, factor, logits, size, likelihood, mass, shift, scatter
):
    """Sums over rows [begin, stop) for a factor per feature, added to (B,), (B, K), (B, K, D), (B, K, D)."""
    columns = empty(x, size.panels, size.features, size.width)
    joint = empty(x, size.panels, size.components, size.width)
    share, r = empty(x, size.panels, 1, size.width), empty(x, size.panels, 1, size.width)
    for row in range(begin, stop, share.size):
        gather(x, row, stop, centre, size, columns)
        take(weight, row, stop, share)
        for b in range(size.restarts):
            diagonal_joint(columns, mean, factor, logits, b, size, joint)
            likelihood[b] += believe(joint, size, share)
            for k in range(size.components):
                m = (b * size.components + k) * size.features
                mass[b, k] += claim(joint, k, size, share, r)
                spread(columns, mean, m, r, size, shift[b, k], scatter[b, k])


@kernel
def tied_sums(
    x,
    begin,
    stop,
    weight,
    centre,
    mean,
    whitened,
    ones,
    factor,
    logits,
    size,
    likelihood,
    mass,
    shift,
    scatter,
    between,
):
    """Sums over rows [begin, stop) for one triangle a restart, added to (B,), (B, K), (B, K, D), (B, D, D), (B, K, K)."""
    columns, y = (
        empty(x, size.panels, size.features, size.width),
        empty(x, size.panels, size.features, size.width),
    )
    joint = empty(x, size.panels, size.components, size.width)
    share, r = empty(x, size.panels, 1, size.width), empty(x, size.panels, 1, size.width)
    for row in range(begin, stop, share.size):
        gather(x, row, stop, centre, size, columns)
        take(weight, row, stop, share)
        for b in range(size.restarts):
            whiten(columns, factor, b, size, y)
            diagonal_joint(y, whitened, ones, logits, b, size, joint)
            likelihood[b] += believe(joint, size, share)
            for k in range(size.components):
                mass[b, k] += claim(joint, k, size, share, r)
                move(columns, mean, (b * size.components + k) * size.features, r, size, shift[b, k])
            leave(columns, joint, mean, b, size, share, y)
            gram(y, size.features, size, scatter[b])
            gram(joint, size.components, size, between[b])


@kernel
def full_density(x, begin, stop, centre, mean, factor, logits, size, real, density, joints):
    """Log densities (N, B) or log joints (N, B, K), whichever is not empty, for one triangle a component."""
    columns, residual = (
        empty(x, size.panels, size.features, size.width),
        empty(x, 1, size.features, size.width),
    )
    joint = empty(x, size.panels, size.components, size.width)
    for row in range(begin, stop, size.panels * size.width):
        gather(x, row, stop, centre, size, columns)
        for b in range(size.restarts):
            full_joint(columns, mean, factor, logits, b, size, residual, joint)
            record(joint, row, stop, b, size, real, density, joints)


@kernel
def diagonal_density(x, begin, stop, centre, mean, factor, logits, size, real, density, joints):
    """The same for a factor per feature."""
    columns = empty(x, size.panels, size.features, size.width)
    joint = empty(x, size.panels, size.components, size.width)
    for row in range(begin, stop, size.panels * size.width):
        gather(x, row, stop, centre, size, columns)
        for b in range(size.restarts):
            diagonal_joint(columns, mean, factor, logits, b, size, joint)
            record(joint, row, stop, b, size, real, density, joints)


@kernel
def tied_density(x, begin, stop, centre, whitened, ones, factor, logits, size, real, density, joints):
    """The same for one triangle a restart."""
    columns, z = (
        empty(x, size.panels, size.features, size.width),
        empty(x, size.panels, size.features, size.width),
    )
    joint = empty(x, size.panels, size.components, size.width)
    for row in range(begin, stop, size.panels * size.width):
        gather(x, row, stop, centre, size, columns)
        for b in range(size.restarts):
            whiten(columns, factor, b, size, z)
            diagonal_joint(z, whitened, ones, logits, b, size, joint)
            record(joint, row, stop, b, size, real, density, joints)
