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
from .vector_memory import fetch

__all__ = ["fill_columns", "filtered_pass"]


@kernel
def fill_columns(x, begin, end, weight, centre, scale, width, columns):
    """Writes panels [begin, end) of rows less the centre, scaled, and their lengths; returns their sum of squares."""
    features, total, squares = centre.size, 0.0, np.zeros(width)
    for panel in range(begin, end):
        first, at = panel * width, panel * (features + 1) * width
        count = min(width, x.size // features - first)
        squares[:] = 0
        for d in range(features):
            for lane in range(count):
                gap = float(number(x, (first + lane) * features + d)) - number(centre, d)
                store(columns, at + d * width + lane, np.float32(gap * scale))
                store(squares, lane, number(squares, lane) + gap * gap)
        for lane in range(count):
            columns[at + features * width + lane] = math.sqrt(squares[lane]) * scale
            total += squares[lane] * (float(number(weight, first + lane)) if weight.size else 1.0)
    return total


@kernel
def filtered_pass(
    columns, begin, end, x, weight, centre, exact, mean, half, slack, label, size, components, room, changes,
):  # fmt: skip
    """Labels panels [begin, end); adds to `changes` rows in doubt (B,), and what changed of counts, weights, firsts."""
    before, after, moved, centred = room
    features, rows, noted = size.real, x.size // size.real, 0
    for panel in range(begin, end):
        first = panel * size.width
        count = min(size.width, rows - first)
        for b in range(size.restarts):
            doubtful = _search(columns, panel * (features + 1) * size.width, mean, half, slack, b, size, after)
            changes[0][b] += _settle(doubtful, x, first, count, centre, exact, b, components, after)
            at = (b * -(-rows // size.width) + panel) * size.width
            changed = _relabel(label, at, before, after)
            noted = _note(changed, before, after, x, first, count, features, b, components, moved, noted)
            if noted >= size.width:  # by now the first of these rows have come
                noted = _move_all(moved, noted, x, weight, centre, centred, changes)
    _move_all(moved, noted, x, weight, centre, centred, changes)


@part
def _note(changed, before, after, x, first, count, features, b, components, moved, noted):
    """Notes rows that change their label, from where and to where, and asks for them; returns how many there are."""
    while changed:
        lane, changed = trailing(changed), changed & (changed - np.uint64(1))
        if lane < count:
            fetch(x, (first + lane) * features)
            fetch(x, (first + lane) * features + features - 1)
            moved[3 * noted], moved[3 * noted + 2] = first + lane, b * components + int(after[lane])
            moved[3 * noted + 1] = b * components + int(before[lane]) if before[lane] < components else -1
            noted += 1
    return noted


@part
def _move_all(moved, noted, x, weight, centre, centred, changes):
    """Rows leave their clusters, but for those that were of none, and join others; returns that none are left."""
    _, counts, masses, firsts = changes
    for i in range(noted):
        n, old, own = moved[3 * i], moved[3 * i + 1], moved[3 * i + 2]
        share = float(number(weight, n)) if weight.size else 1.0
        _join(x, n, share, centre, centred, own, counts, masses, firsts)
        if old >= 0:
            _leave(share, centred, old, counts, masses, firsts)
    return 0


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
def _join(x, n, share, centre, centred, m, counts, masses, firsts):
    """A row joins a cluster: counts, weights and firsts. It is kept, weighed and about the centre."""
    counts[m] += 1 if share > 0 else 0
    masses[m] += share
    for d in range(centre.size):
        value = share * (float(number(x, n * centre.size + d)) - number(centre, d))
        store(centred, d, value)
        store(firsts, m * centre.size + d, number(firsts, m * centre.size + d) + value)


@part
def _leave(share, centred, m, counts, masses, firsts):
    """The row that joined last leaves a cluster."""
    counts[m] -= 1 if share > 0 else 0
    masses[m] -= share
    for d in range(centred.size):
        store(firsts, m * centred.size + d, number(firsts, m * centred.size + d) - number(centred, d))
