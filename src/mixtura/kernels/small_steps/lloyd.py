r"""K-means of small tables: many updates of many starts, one start after another.

The objective is that of `KMeans`, :math:`-\tfrac D2 (1 + \log(2\pi J/(nD))) - \log K` nats a row with J the sum of
squared distances. A cluster without rows takes the row farthest from its own centre. Arrays are flat.
"""

import math

import numpy as np
from llvmlite import ir

from ..native.machine import called
from ..native.panels import PART, WIDTH, beyond, load_panel, load_part, multiplied, splat, total
from ..native.program import plain
from ..native.values import INT, NUMBERS, VOID, WHOLE
from .calls import Array, pointers
from .nearest import assign

__all__ = ["lloyd"]

_TINY = np.finfo(np.float64).tiny


@plain
def distance(x, at, mean, to, features):
    """The square of it, from a row that begins at an index to a centre."""
    total = 0.0
    for d in range(features):
        total += (x[at + d] - mean[to + d]) ** 2
    return total


@plain
def give(x, row, weight, mean, k, features, mass, shift):
    """Adds a row to the sums about a centre."""
    mass[k] += weight
    for d in range(features):
        shift[k * features + d] += weight * (x[row * features + d] - mean[k * features + d])


@plain
def apart(weight, far, panels):
    """The sum of squared distances to the nearest centres."""
    found = splat(0.0, load_part(weight, 0))
    for p in range(panels):
        found = multiplied(load_panel(weight, p * WIDTH), load_panel(far, p * WIDTH), found)
    return total(found)


@plain
def refill(x, weight, rows, mean, components, features, mass, shift, nearest, far):
    """Moves one far row to each cluster that has none; returns how much the sum of squares grows by that."""
    more = 0.0
    for k in range(components):
        if mass[k] > 0.0:
            continue
        n = -1
        for row in range(rows):
            if weight[row] > 0.0 and far[row] > 0.0 and (n < 0 or far[row] > far[n]):
                n = row
        if n < 0:
            return more
        more += weight[n] * (distance(x, n * features, mean, k * features, features) - far[n])
        far[n] = 0.0
        give(x, n, -weight[n], mean, int(nearest[n]), features, mass, shift)
        give(x, n, weight[n], mean, k, features, mass, shift)
    return more


@plain
def moved(mean, components, features, mass, shift):
    """Moves the centres to the middle of their rows; returns by how much the sum of squares falls."""
    less = 0.0
    for k in range(components):
        for e in range(k * features, (k + 1) * features):
            step = shift[e] / mass[k] if mass[k] > 0.0 else 0.0
            mean[e] += step
            less += mass[k] * step * step
    return less


@plain
def gained(trace, made, tolerance, precision):
    """Whether the last update gained something, or none is asked to."""
    if made < 2 or not tolerance > 0.0:
        return True
    size = abs(trace[made - 1]) if abs(trace[made - 1]) > 1.0 else 1.0
    slack = precision * size if precision * size > tolerance else tolerance
    return trace[made - 1] - trace[made - 2] > slack


@plain
def advanced(x, columns, weight, means, spread, limits, sizes, scratch, lanes, traces, ends, first, last):
    """Advances the starts [first, last), all arrays given by where they are; see `lloyd`."""
    rows, components, features, updates = sizes[0], sizes[1], sizes[2], sizes[3]
    panels, mass = (rows + WIDTH - 1) // WIDTH, beyond(scratch, components * features)
    far, nearest = beyond(mass, components), beyond(mass, components + panels * WIDTH)
    for s in range(first, last):
        mean, trace = beyond(means, s * components * features), beyond(traces, s * (updates + 1))
        made, squares = 0, 0.0
        while True:
            assign(columns, weight, panels, mean, components, features, mass, scratch, nearest, far, lanes)
            squares = apart(weight, far, panels)
            each = squares / (limits[2] * features)
            each = each if each > _TINY else _TINY
            trace[made] = -0.5 * features * (1 + math.log(2 * math.pi * each)) - math.log(components)
            made += 1
            if made == 1:
                spread[s] = squares / (limits[2] * features)
            ends[2 * s] = 0 if gained(trace, made, limits[0], limits[1]) else 1
            if made > updates or ends[2 * s] == 1:
                break
            squares += refill(x, weight, rows, mean, components, features, mass, scratch, nearest, far)
            squares -= moved(mean, components, features, mass, scratch)
            spread[s] = squares / (limits[2] * features) if squares > 0.0 else 0.0
        ends[2 * s + 1] = made


_F, _I = NUMBERS, WHOLE
_ADVANCED = ir.FunctionType(VOID, [_F, _F, _F, _F, _F, _F, _I, _F, _F, _F, _I, INT, INT])


def lloyd(
    x: Array,
    weight: Array,
    total: float,
    means: Array,
    spread: Array,
    updates: int,
    tolerance: float,
    precision: float,
    traces: Array,
    ends: Array,
    first: int,
    last: int,
) -> None:
    """Advances the starts [first, last) of centres (S, K, D), in place, until nothing moves or updates run out.

    Leaves the mean squared distance by number, (S,), the objectives, (S, updates + 1), and how each start ended and how
    many objectives it has, (S, 2).
    """
    _, components, features = means.shape
    sizes, limits = np.array([len(x), components, features, updates]), np.array([tolerance, precision, total])
    columns, weights = _in_panels(x, features), _in_panels(weight, 1)
    scratch, lanes = (
        np.zeros(components * (1 + features) + 2 * weights.size),
        np.zeros(components * (1 + features) * PART),
    )
    given = np.ascontiguousarray(x), columns, weights, means, spread, limits, sizes, scratch, lanes, traces, ends
    called(advanced, _ADVANCED)(*pointers(*given), first, last)


def _in_panels(x: Array, features: int) -> Array:
    """Rows in panels, feature by feature; zeros fill the last one."""
    whole = np.zeros((-(-len(x) // WIDTH), features, WIDTH))
    full = len(x) // WIDTH
    whole[:full] = x[: full * WIDTH].reshape(full, WIDTH, features).swapaxes(1, 2)
    whole[full:, :, : len(x) % WIDTH] = x[full * WIDTH :].reshape(-1, features).T
    return whole
