"""Log joints of wide rows, compiled for a CPU: more sums at a time than `joints` keeps, so that loads do not hold up.

While they compute, they ask for the next tile's lines of the cache, the numbers of x from `ahead` on. Layouts are those
of `joints`, but triangles need a multiple of four features.
"""

from .joints import part
from .vector import fma, load_panel, number, splat, store
from .vector_memory import fetch

__all__ = ["wide_diagonal_joint", "wide_full_joint", "wide_spherical_joint"]


@part
def wide_full_joint(columns, factor, offset, logits, b, size, joint):
    """Log joints of a tile under the components of a restart, each with its own triangle."""
    features, width = size.features, size.width
    for k in range(size.components):
        c = b * size.components + k
        for p in range(size.panels):
            at = p * features * width
            value = splat(number(logits, c), load_panel(columns, at))
            for i in range(0, features, 4):
                value = value - _four(columns, at, factor, (c * features + i) * features, offset, c * features, size, i)
            store(joint, (p * size.components + k) * width, value)


@part
def _four(columns, at, factor, row, offset, o, size, i):
    """The squared length of rows i to i + 3 of a lower triangular matrix times a panel, plus an offset."""
    like, features = load_panel(columns, at), size.features
    first, second = splat(number(offset, o + i), like), splat(number(offset, o + i + 1), like)
    third, fourth = splat(number(offset, o + i + 2), like), splat(number(offset, o + i + 3), like)
    for j in range(i + 4):
        t = load_panel(columns, at + j * size.width)
        first = fma(number(factor, row + j), t, first)
        second = fma(number(factor, row + features + j), t, second)
        third = fma(number(factor, row + 2 * features + j), t, third)
        fourth = fma(number(factor, row + 3 * features + j), t, fourth)
    return fma(first, first, fma(second, second, fma(third, third, fourth * fourth)))


@part
def wide_diagonal_joint(x, ahead, columns, factor, offset, logits, b, size, joint):
    """Log joints of a tile under the components of a restart, two at a time, with a factor per feature."""
    for p in range(size.panels):
        for k in range(0, size.components, 2):
            other = min(k + 1, size.components - 1)
            c, e = b * size.components + k, b * size.components + other
            first = splat(0.0, load_panel(columns, 0))
            second = first
            for d in range(size.features):
                fetch(x, ahead)
                ahead += size.vector
                t = load_panel(columns, (p * size.features + d) * size.width)
                f, g = c * size.features + d, e * size.features + d
                y = fma(number(factor, f), t, splat(number(offset, f), t))
                z = fma(number(factor, g), t, splat(number(offset, g), t))
                first, second = fma(y, y, first), fma(z, z, second)
            store(joint, (p * size.components + k) * size.width, splat(number(logits, c), first) - first)
            store(joint, (p * size.components + other) * size.width, splat(number(logits, e), second) - second)


@part
def wide_spherical_joint(x, ahead, columns, mean, precision, logits, b, size, joint, squared):
    """Log joints of a tile under the components of a restart, two at a time, with one factor, and squared distances."""
    for p in range(size.panels):
        for k in range(0, size.components, 2):
            other = min(k + 1, size.components - 1)
            c, e = b * size.components + k, b * size.components + other
            first = splat(0.0, load_panel(columns, 0))
            second = first
            for d in range(size.features):
                fetch(x, ahead)
                ahead += size.vector
                t = load_panel(columns, (p * size.features + d) * size.width)
                y = t - splat(number(mean, c * size.features + d), t)
                z = t - splat(number(mean, e * size.features + d), t)
                first, second = fma(y, y, first), fma(z, z, second)
            _note(first, c, p, k, precision, logits, size, joint, squared)
            _note(second, e, p, other, precision, logits, size, joint, squared)


@part
def _note(distance, c, p, k, precision, logits, size, joint, squared):
    """Keeps the squared distances of a panel, and its log joints."""
    at = (p * size.components + k) * size.width
    store(squared, at, distance)
    store(joint, at, fma(-number(precision, c), distance, splat(number(logits, c), distance)))
