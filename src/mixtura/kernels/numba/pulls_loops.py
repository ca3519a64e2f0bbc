r"""Responsibilities times pulls, compiled for a CPU: while in the cache, a panel of rows meets each component twice.

Lanes are rows. The first time, residuals are whitened and kept, and their squared lengths become responsibilities; the
second time residuals are weighed and turned back, but for components of which no row of the panel has a share.

Layouts are flat: columns (feature, lane), residuals (component, feature, lane), joints (component, lane), matrices
(component, row, column). Features are even: what is added has zeros.
"""

from .joints import kernel, part, softmax
from .vector import fma, load_panel, number, splat, store, where_less
from .vector_lanes import exceeding

__all__ = ["pulled_rows"]


@kernel
def pulled_rows(x, begin, stop, whiten, offset, logits, back, kept, size, least, tiles, out):
    """Writes the sums of rows [begin, stop); shares below the least are none."""
    columns, z, joint, sums = tiles
    for row in range(begin, stop, size.width):
        take_rows(x, row, stop, size, columns)
        for k in range(size.components):
            squared = whitened(columns, whiten, offset, k, size, z)
            store(joint, k * size.width, fma(-0.5, squared, splat(number(logits, k), squared)))
        softmax(joint, 0, size.components, size.width)
        sums[:] = 0
        for k in range(size.components):
            r = load_panel(joint, k * size.width)
            none = splat(0.0, r)
            r = where_less(r, splat(least, r), none, r)
            if exceeding(r, none):
                weigh(r, k, size, z)
                turn_back(r, back, kept, k, size, z, sums)
        give_rows(sums, row, stop, size, out)


@part
def take_rows(x, begin, stop, size, columns):
    """Rows from `begin` on as columns; after the last it stands again."""
    for lane in range(size.width):
        at = min(begin + lane, stop - 1) * size.real
        for d in range(size.real):
            columns[d * size.width + lane] = x[at + d]


@part
def give_rows(sums, begin, stop, size, out):
    """Columns as rows from `begin` on."""
    for lane in range(min(size.width, stop - begin)):
        at = (begin + lane) * size.real
        for d in range(size.real):
            out[at + d] = sums[d * size.width + lane]


@part
def whitened(columns, whiten, offset, k, size, z):
    """Keeps a component's matrix times the columns, plus its offset; returns the squared lengths."""
    features, width = size.features, size.width
    squared = splat(0.0, load_panel(columns, 0))
    for i in range(0, features - 3, 4):
        o = k * features + i
        a, b = splat(number(offset, o), squared), splat(number(offset, o + 1), squared)
        c, d = splat(number(offset, o + 2), squared), splat(number(offset, o + 3), squared)
        a, b, c, d = four(columns, 0, whiten, o * features, features, width, a, b, c, d)
        keep_two(z, o * width, width, a, b)
        keep_two(z, (o + 2) * width, width, c, d)
        squared = squared + fma(a, a, fma(b, b, fma(c, c, d * d)))
    if features % 4:
        o = k * features + features - 2
        a, b = splat(number(offset, o), squared), splat(number(offset, o + 1), squared)
        a, b = two(columns, 0, whiten, o * features, features, width, a, b)
        keep_two(z, o * width, width, a, b)
        squared = squared + fma(a, a, b * b)
    return squared


@part
def weigh(r, k, size, z):
    """Multiplies a component's residuals by its shares."""
    for o in range(k * size.features, (k + 1) * size.features):
        store(z, o * size.width, r * load_panel(z, o * size.width))


@part
def turn_back(r, back, kept, k, size, z, sums):
    """Adds what a component pulls: its shares of what is kept, and its matrix times its weighed residuals."""
    features, width = size.features, size.width
    at = k * features * width
    for i in range(0, features - 3, 4):
        o, s = k * features + i, i * width
        a, b = fma(number(kept, o), r, load_panel(sums, s)), fma(number(kept, o + 1), r, load_panel(sums, s + width))
        s += 2 * width
        c, d = (
            fma(number(kept, o + 2), r, load_panel(sums, s)),
            fma(number(kept, o + 3), r, load_panel(sums, s + width)),
        )
        a, b, c, d = four(z, at, back, o * features, features, width, a, b, c, d)
        keep_two(sums, i * width, width, a, b)
        keep_two(sums, s, width, c, d)
    if features % 4:
        o, s = (k + 1) * features - 2, (features - 2) * width
        a, b = fma(number(kept, o), r, load_panel(sums, s)), fma(number(kept, o + 1), r, load_panel(sums, s + width))
        a, b = two(z, at, back, o * features, features, width, a, b)
        keep_two(sums, s, width, a, b)


@part
def four(columns, at, matrix, row, features, width, a, b, c, d):
    """Four rows of a matrix times columns, added to four panels."""
    for j in range(features):
        t = load_panel(columns, at + j * width)
        a, b = fma(number(matrix, row + j), t, a), fma(number(matrix, row + features + j), t, b)
        c = fma(number(matrix, row + 2 * features + j), t, c)
        d = fma(number(matrix, row + 3 * features + j), t, d)
    return a, b, c, d


@part
def two(columns, at, matrix, row, features, width, a, b):
    """Two rows of a matrix times columns, added to two panels."""
    for j in range(features):
        t = load_panel(columns, at + j * width)
        a, b = fma(number(matrix, row + j), t, a), fma(number(matrix, row + features + j), t, b)
    return a, b


@part
def keep_two(columns, at, width, a, b):
    """Writes two panels, one after the other."""
    store(columns, at, a)
    store(columns, at + width, b)
