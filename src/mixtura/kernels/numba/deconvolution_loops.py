"""The compiled pass for rows with errors of their own: panels of rows, one row in each lane.

Layouts are flat: columns are (feature, lane), triangles (entry of the lower triangle, lane) with entry
i (i + 1) / 2 + j, and what a component leaves for the sums is (component, feature or entry, lane).
"""

import math

from .joints import kernel, part, softmax
from .layouts import aligned
from .vector import fma, lanes, load_panel, log, number, splat, store, total

__all__ = ["add", "deconvolve", "gather", "tiles_for", "width_of"]

_LANES = {itemsize: lanes(itemsize)[0] for itemsize in (4, 8)}
_WIDTH_32, _WIDTH_64 = _LANES[4], _LANES[8]
_HALF_LOG_TWO_PI = 0.5 * math.log(2 * math.pi)


@part
def width_of(y):
    """Rows in a panel of numbers of this type."""
    return _WIDTH_64 if y.itemsize == 8 else _WIDTH_32


@part
def gather(y, noise, weight, first, stop, features, width, columns, spread, absent, share):
    """Rows from `first` on as columns, their noise as triangles; rows after the last weigh nothing."""
    rows, wide = min(width, stop - first), noise.size // weight.size
    for lane in range(width):
        share[lane] = number(weight, first + lane) if lane < rows else 0
    for i in range(features):
        at = i * (i + 1) // 2
        for lane in range(width):
            row = first + (lane if lane < rows else rows - 1)
            store(columns, i * width + lane, number(y, row * features + i))
        for j in range(0 if wide > features else i, i + 1):
            entry = i * features + j if wide > features else i
            for lane in range(width):
                row = first + (lane if lane < rows else rows - 1)
                store(spread, (at + j) * width + lane, number(noise, row * wide + entry))
        for lane in range(width):
            infinite = number(spread, (at + i) * width + lane) == math.inf
            store(absent, i * width + lane, absent.dtype.type(1 if infinite else 0))


@part
def factorise(spread, covariance, c, absent, features, width, lower, minus, inverse):
    """S + V = L D L^T, L with ones on its diagonal: fills L and the inverse of D; returns half the log of det D^-1.

    A coordinate that was not recorded has an infinite pivot, which is left out.
    """
    one = splat(1.0, load_panel(spread, 0))
    product, logs = one, splat(0.0, one)
    for i in range(features):
        ii = i * (i + 1) // 2
        for j in range(i + 1):
            jj = j * (j + 1) // 2
            t = load_panel(spread, (ii + j) * width) + splat(number(covariance, (c * features + i) * features + j), one)
            for m in range(j):
                t = fma(load_panel(minus, (ii + m) * width), load_panel(lower, (jj + m) * width), t)
            if j < i:
                store(minus, (ii + j) * width, splat(0.0, one) - t)
                store(lower, (ii + j) * width, t * load_panel(inverse, j * width))
            else:
                store(inverse, i * width, one / t)
        product = product * (load_panel(inverse, i * width) + load_panel(absent, i * width))
        if width == _WIDTH_32 or i % 2 == 1 or i == features - 1:  # two pivots at once where they cannot overflow
            logs, product = logs + log(product), one
    return logs * splat(0.5, one)


@part
def invert(lower, features, width):
    """Minus the inverse of a lower triangle of ones on the diagonal, below which it stands, in its place."""
    for i in range(1, features):
        ii = i * (i + 1) // 2
        for j in range(i):
            s = load_panel(lower, (ii + j) * width)
            for m in range(j + 1, i):
                s = s - load_panel(lower, (ii + m) * width) * load_panel(lower, (m * (m + 1) // 2 + j) * width)
            store(lower, (ii + j) * width, s)


@part
def residuals(columns, mean, c, lower, inverse, features, width, z):
    """z = D^-1 L^-1 (y - mean) as columns; returns the squared length of L^-1 (y - mean) in units of D."""
    zero = splat(0.0, load_panel(columns, 0))
    squared = zero
    for i in range(features):
        s = load_panel(columns, i * width) - splat(number(mean, c * features + i), zero)
        for j in range(i):
            t = load_panel(columns, j * width) - splat(number(mean, c * features + j), zero)
            s = s - load_panel(lower, (i * (i + 1) // 2 + j) * width) * t
        scaled = s * load_panel(inverse, i * width)
        store(z, i * width, scaled)
        squared = fma(s, scaled, squared)
    return squared


@part
def keep(lower, inverse, z, features, width, minus, q, precision, at):
    """q = L^-T z, and the lower triangle of q q^T - L^-T D^-1 L^-1, kept for when responsibilities are known."""
    entries = features * (features + 1) // 2
    for i in range(features):
        s = load_panel(z, i * width)
        for m in range(i + 1, features):
            x = load_panel(lower, (m * (m + 1) // 2 + i) * width)
            s = s - x * load_panel(z, m * width)
            store(minus, m * width, x * load_panel(inverse, m * width))
        store(q, (at * features + i) * width, s)
        for j in range(i + 1):
            own = load_panel(inverse, i * width)
            t = s * load_panel(q, (at * features + j) * width)
            t = fma(own, load_panel(lower, (i * (i + 1) // 2 + j) * width), t) if j < i else t - own
            for m in range(i + 1, features):
                t = t - load_panel(minus, m * width) * load_panel(lower, (m * (m + 1) // 2 + j) * width)
            store(precision, (at * entries + i * (i + 1) // 2 + j) * width, t)


@part
def recorded(absent, features, width):
    """The constant of each row's density: half log two pi for every coordinate recorded."""
    count = splat(0.0, load_panel(absent, 0))
    for i in range(features):
        count = count + splat(1.0, count) - load_panel(absent, i * width)
    return count * splat(_HALF_LOG_TWO_PI, count)


@part
def add(joint, weights, q, precision, width, mass, first, second):
    """Adds what a panel kept, each row with its responsibility."""
    components, features = first.shape
    entries = second.shape[1]
    for k in range(components):
        r = weights * load_panel(joint, k * width)
        mass[k] += total(r)
        for i in range(features):
            first[k, i] += total(r * load_panel(q, (k * features + i) * width))
        for e in range(entries):
            second[k, e] += total(r * load_panel(precision, (k * entries + e) * width))


def tiles_for(components, features, dtype):
    """Room for a panel of rows, what is worked out for it, and what each component keeps."""
    entries = features * (features + 1) // 2
    counts = (features,) * 4 + (1,) + (entries,) * 3 + (components, components * features, components * entries)
    return tuple(aligned(count * _LANES[dtype.itemsize], dtype) for count in counts)


@kernel
def deconvolve(
    y, noise, weight, begin, end, mean, covariance, logits, components, features, tiles,
    likelihood, mass, first, second,
):  # fmt: skip
    """Adds the sums over rows [begin, end) to (B,), (B, K), (B, K, D) and, for the lower triangle, (B, K, entries)."""
    width = width_of(y)
    columns, z, absent, inverse, share, spread, lower, minus, joint, q, precision = tiles
    for row in range(begin, end, width):
        gather(y, noise, weight, row, end, features, width, columns, spread, absent, share)
        constant, weights = recorded(absent, features, width), load_panel(share, 0)
        for b in range(likelihood.size):
            for k in range(components):
                c = b * components + k
                logs = factorise(spread, covariance, c, absent, features, width, lower, minus, inverse)
                invert(lower, features, width)
                squared = residuals(columns, mean, c, lower, inverse, features, width, z)
                value = logs - constant + splat(number(logits, c), logs) - squared * splat(0.5, logs)
                store(joint, k * width, value)
                keep(lower, inverse, z, features, width, minus, q, precision, k)
            likelihood[b] += total(weights * softmax(joint, 0, components, width))
            add(joint, weights, q, precision, width, mass[b], first[b], second[b])
