r"""The K-means pass over rows that are asked again and again, compiled for a CPU: a filter in single precision.

The nearest centre is that of the least :math:`\tfrac12 |m_k|^2 - x \cdot m_k`, one multiply-add a feature and centre.
In single precision, whatever the rows are in, its error is below :math:`t = \varepsilon (D + 4) (|x| + M) M` with M
the length of the longest centre. Where the two least differ by more than 2 t the label is certain; the others, one row
in thousands mostly, are worked out from differences in double precision. Labels are kept from pass to pass, and the
sums of a cluster change where a row changes it.

Arrays are flat, in panels of rows with a row in each lane: columns (panel, feature or length, lane), means (restart,
centre, feature), labels (restart, row).
"""

import math

import numpy as np

from .joints import kernel, part
from .vector import fma, load_panel, number, splat, store, where_less
from .vector_lanes import differing, trailing, uncertain

__all__ = ["fill_columns", "filtered_pass"]


@kernel
def fill_columns(x, begin, end, weight, centre, scale, width, columns):
    """Writes panels [begin, end) of rows less the centre, scaled, and their lengths; returns their sum of squares."""
    features, total = centre.size, 0.0
    for panel in range(begin, end):
        first, at = panel * width, panel * (features + 1) * width
        for lane in range(min(width, x.size // features - first)):
            squared = 0.0
            for d in range(features):
                gap = float(number(x, (first + lane) * features + d)) - number(centre, d)
                columns[at + d * width + lane] = gap * scale
                squared += gap * gap
            columns[at + features * width + lane] = math.sqrt(squared) * scale
            total += squared * (float(number(weight, first + lane)) if weight.size else 1.0)
    return total


@kernel
def filtered_pass(
    columns, begin, end, x, weight, centre, exact, mean, half, slack, label, size, components, room, changes,
):  # fmt: skip
    """Labels panels [begin, end); adds to `changes` rows in doubt (B,), and what changed of counts, weights, firsts."""
    before, after = room
    doubts, counts, masses, firsts = changes
    features, rows = size.real, x.size // size.real
    for panel in range(begin, end):
        first = panel * size.width
        count = min(size.width, rows - first)
        for b in range(size.restarts):
            doubtful = _search(columns, panel * (features + 1) * size.width, mean, half, slack, b, size, after)
            doubts[b] += _settle(doubtful, x, first, count, centre, exact, b, components, after)
            at = (b * -(-rows // size.width) + panel) * size.width
            changed = _relabel(label, at, before, after)
            while changed:
                lane, changed = trailing(changed), changed & (changed - np.uint64(1))
                if lane < count:
                    own, old, n = b * components + int(after[lane]), b * components + int(before[lane]), first + lane
                    share = float(number(weight, n)) if weight.size else 1.0
                    _move(x, n, share, centre, own, counts, masses, firsts)
                    if before[lane] < components:  # before the first pass it was of none
                        _move(x, n, -share, centre, old, counts, masses, firsts)


@part
def _settle(doubtful, x, first, count, centre, exact, b, components, after):
    """Finds the labels of rows in doubt; returns how many there were."""
    found = 0
    while doubtful:
        lane, doubtful = trailing(doubtful), doubtful & (doubtful - np.uint64(1))
        if lane < count:
            after[lane] = _nearest(x, first + lane, centre, exact, b, components, centre.size)
            found += 1
    return found


@part
def _relabel(label, at, before, after):
    """Notes the labels of a panel; a bit for each row that changes its own."""
    old, new = load_panel(label, at), load_panel(after, 0)
    store(before, 0, old)
    store(label, at, new)
    return differing(old, new)


@part
def _search(columns, at, mean, half, slack, b, size, index):
    """Finds the nearest centres of a panel, four at a time; a bit for each row in doubt."""
    features, width = size.real, size.width
    like = load_panel(columns, at)
    least, nearest = splat(math.inf, like), splat(0.0, like)
    second = least
    for k in range(b * size.components, (b + 1) * size.components, 4):
        m, n = k * features, (k + 2) * features
        a, c = splat(number(half, k), like), splat(number(half, k + 1), like)
        e, f = splat(number(half, k + 2), like), splat(number(half, k + 3), like)
        for d in range(features):
            t = load_panel(columns, at + d * width)
            a, c = fma(number(mean, m + d), t, a), fma(number(mean, m + features + d), t, c)
            e, f = fma(number(mean, n + d), t, e), fma(number(mean, n + features + d), t, f)
        own = k - b * size.components
        least, second, nearest = _nearer(a, own, least, second, nearest)
        least, second, nearest = _nearer(c, own + 1, least, second, nearest)
        least, second, nearest = _nearer(e, own + 2, least, second, nearest)
        least, second, nearest = _nearer(f, own + 3, least, second, nearest)
    gap, error = second - least, fma(number(slack, 2 * b), load_panel(columns, at + features * width), least - least)
    error = error + splat(number(slack, 2 * b + 1), like)
    store(index, 0, nearest)
    return uncertain(gap, error)


@part
def _nearer(value, k, least, second, nearest):
    """The two least values so far, and where the least is."""
    other = where_less(value, second, value, second)
    second = where_less(value, least, least, other)
    nearest = where_less(value, least, splat(k, value), nearest)
    return where_less(value, least, value, least), second, nearest


@part
def _nearest(x, n, centre, exact, b, components, features):
    """The nearest centre of a row, from differences in double precision; the first of equally near ones."""
    best, least = 0, math.inf
    for k in range(components):
        squared, m = 0.0, (b * components + k) * features
        for d in range(features):
            gap = float(number(x, n * features + d)) - number(centre, d) - number(exact, m + d)
            squared += gap * gap
        if squared < least:
            best, least = k, squared
    return best


@part
def _move(x, n, share, centre, m, counts, masses, firsts):
    """A row joins a cluster, or leaves it where its share is negative: counts, weights and firsts."""
    counts[m] += 1 if share > 0 else -1 if share < 0 else 0
    masses[m] += share
    for d in range(centre.size):
        firsts[m * centre.size + d] += share * (float(number(x, n * centre.size + d)) - number(centre, d))
