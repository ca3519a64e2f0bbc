"""The compiled pass for rows with errors of their own: panels of rows, one row in each lane.

Layouts are flat: columns are (feature, lane), triangles (entry of the lower triangle, lane) with entry
i (i + 1) / 2 + j, and what a component leaves for the sums is (component, feature or entry, lane).
"""

import math

import numpy as np
from numba import njit

from .vector import exp, fma, lanes, largest, load_panel, log, number, root, splat, store, total

__all__ = ["deconvolve"]

_LANES = {itemsize: lanes(itemsize)[0] for itemsize in (4, 8)}
_WIDTH_32, _WIDTH_64 = _LANES[4], _LANES[8]
_HALF_LOG_TWO_PI = 0.5 * math.log(2 * math.pi)

part = njit(error_model="numpy", forceinline=True)
kernel = njit(error_model="numpy", nogil=True, cache=True)


@part
def gather(y, noise, weight, first, stop, features, width, columns, spread, absent, share):
    """Rows from `first` on as columns, their noise as triangles; rows after the last weigh nothing."""
    whole = noise.shape[1] == features * features and features > 1
    for lane in range(width):
        row = min(first + lane, stop - 1)
        share[lane] = weight[row] if first + lane < stop else 0
        for i in range(features):
            columns[i * width + lane] = y[row, i]
            at = i * (i + 1) // 2
            if whole:
                for j in range(i + 1):
                    spread[(at + j) * width + lane] = noise[row, i * features + j]
            else:
                for j in range(i):
                    spread[(at + j) * width + lane] = 0
                spread[(at + i) * width + lane] = noise[row, i]
            absent[i * width + lane] = 1 if math.isinf(spread[(at + i) * width + lane]) else 0


@part
def factorise(spread, covariance, c, absent, features, width, lower):
    """The Cholesky factor of S + V, with reciprocals on the diagonal; returns the sum of their logarithms."""
    one = splat(1.0, load_panel(spread, 0))
    product, logs = one, splat(0.0, one)
    for j in range(features):
        jj = j * (j + 1) // 2
        s = load_panel(spread, (jj + j) * width) + splat(number(covariance, (c * features + j) * features + j), one)
        for m in range(j):
            entry = load_panel(lower, (jj + m) * width)
            s = s - entry * entry
        inverse = one / root(s)
        store(lower, (jj + j) * width, inverse)
        product = product * (inverse + load_panel(absent, j * width))
        if j % 2 == 1 or j == features - 1:
            logs = logs + log(product)
            product = one
        for i in range(j + 1, features):
            ii = i * (i + 1) // 2
            t = load_panel(spread, (ii + j) * width) + splat(number(covariance, (c * features + i) * features + j), one)
            for m in range(j):
                t = t - load_panel(lower, (ii + m) * width) * load_panel(lower, (jj + m) * width)
            store(lower, (ii + j) * width, t * inverse)
    return logs


@part
def invert(lower, features, width):
    """The inverse of a lower triangle whose diagonal holds reciprocals, in its place."""
    for i in range(1, features):
        ii = i * (i + 1) // 2
        last = load_panel(lower, (ii + i) * width)
        for j in range(i):
            s = splat(0.0, last)
            for m in range(j, i):
                s = fma(load_panel(lower, (ii + m) * width), load_panel(lower, (m * (m + 1) // 2 + j) * width), s)
            store(lower, (ii + j) * width, splat(0.0, last) - last * s)


@part
def residuals(columns, mean, c, lower, features, width, z):
    """z = X (y - mean) as columns; returns its squared length."""
    squared = splat(0.0, load_panel(columns, 0))
    for i in range(features):
        s = splat(0.0, squared)
        for j in range(i + 1):
            t = load_panel(columns, j * width) - splat(number(mean, c * features + j), squared)
            s = fma(load_panel(lower, (i * (i + 1) // 2 + j) * width), t, s)
        store(z, i * width, s)
        squared = fma(s, s, squared)
    return squared


@part
def keep(lower, z, features, width, q, precision, at):
    """q = X^T z, and the lower triangle of q q^T - X^T X, kept for when the responsibilities are known."""
    entries = features * (features + 1) // 2
    for i in range(features):
        s = splat(0.0, load_panel(z, 0))
        for m in range(i, features):
            s = fma(load_panel(lower, (m * (m + 1) // 2 + i) * width), load_panel(z, m * width), s)
        store(q, (at * features + i) * width, s)
        for j in range(i + 1):
            t = s * load_panel(q, (at * features + j) * width)
            for m in range(i, features):
                mm = m * (m + 1) // 2
                t = t - load_panel(lower, (mm + i) * width) * load_panel(lower, (mm + j) * width)
            store(precision, (at * entries + i * (i + 1) // 2 + j) * width, t)


@part
def softmax(joint, components, width):
    """Log joints of a panel become responsibilities; returns the log density."""
    top = load_panel(joint, 0)
    for k in range(1, components):
        top = largest(load_panel(joint, k * width), top)
    mass = splat(0.0, top)
    for k in range(components):
        value = exp(load_panel(joint, k * width) - top)
        store(joint, k * width, value)
        mass = mass + value
    scale = splat(1.0, mass) / mass
    for k in range(components):
        store(joint, k * width, load_panel(joint, k * width) * scale)
    return top + log(mass)


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


@kernel
def deconvolve(
    y, noise, weight, begin, end, mean, covariance, logits, components, features,
    likelihood, mass, first, second,
):  # fmt: skip
    """Adds the sums over rows [begin, end) to (B,), (B, K), (B, K, D) and, for the lower triangle, (B, K, entries)."""
    width = _WIDTH_64 if y.itemsize == 8 else _WIDTH_32
    entries = features * (features + 1) // 2
    columns, z = np.zeros(features * width, y.dtype), np.zeros(features * width, y.dtype)
    absent, share = np.zeros(features * width, y.dtype), np.zeros(width, y.dtype)
    spread, lower = np.zeros(entries * width, y.dtype), np.zeros(entries * width, y.dtype)
    joint = np.zeros(components * width, y.dtype)
    q, precision = np.zeros(components * features * width, y.dtype), np.zeros(components * entries * width, y.dtype)
    for row in range(begin, end, width):
        gather(y, noise, weight, row, end, features, width, columns, spread, absent, share)
        constant, weights = recorded(absent, features, width), load_panel(share, 0)
        for b in range(likelihood.size):
            for k in range(components):
                c = b * components + k
                logs = factorise(spread, covariance, c, absent, features, width, lower)
                invert(lower, features, width)
                squared = residuals(columns, mean, c, lower, features, width, z)
                value = logs - constant + splat(number(logits, c), logs) - squared * splat(0.5, logs)
                store(joint, k * width, value)
                keep(lower, z, features, width, q, precision, k)
            likelihood[b] += total(weights * softmax(joint, components, width))
            add(joint, weights, q, precision, width, mass[b], first[b], second[b])
