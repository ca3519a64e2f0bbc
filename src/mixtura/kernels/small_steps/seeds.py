r"""Where starts on small tables are: k-means++ (Arthur and Vassilvitskii, 2007) or rows, updates of K-means, moments.

Rows are centred by column within their group, so the mean of the group is the origin, and scaled. Each next centre is
drawn with probability proportional to the squared distance to the nearest one before it, the best of some candidates;
or among the rows that lie on none before it. A start's weights are those of its clusters, its means theirs, and all its
components have the pooled covariance :math:`W - 0.99 B` of the total W and that between the clusters B, as in
`starting_moments`. Arrays are flat.
"""

import math

import numpy as np
from llvmlite import ir

from ..native.machine import called
from ..native.panels import (
    PART,
    WIDTH,
    beyond,
    load_panel,
    load_part,
    multiplied,
    smallest,
    splat,
    store,
    total,
)
from ..native.program import plain
from ..native.values import INT, NUMBERS, VOID, WHOLE
from .calls import Array, pointers, zeros
from .lloyd import moved
from .nearest import assign, coordinate, refill, squared

__all__ = ["seed"]

_BLEND = 0.01  # of the total covariance in the first guess
_WIDEST = 1e4  # times the variance within clusters: the most that the total one counts
_STILL = 1e-12  # by how much squared distances fall, for each row, where centres stay


@plain
def drawn(weight, far, rows, total_far, uniform):
    """The row at a share of the sum of weights times distances; the last one that counts where all are zero."""
    left, n = uniform * total_far, rows - 1
    for p in range((rows + WIDTH - 1) // WIDTH):
        part = total(load_panel(weight, p * WIDTH) * load_panel(far, p * WIDTH))
        if left - part < 0.0:
            for row in range(p * WIDTH, (p + 1) * WIDTH):
                left -= weight[row] * far[row]
                if left < 0.0:
                    return row
        else:
            left -= part
    while n > 0 and not weight[n] > 0.0:
        n -= 1
    return n


@plain
def nearer(x, weight, panels, features, centre, first, far, out):
    """Squared distances to the nearest centre if another is the next one; returns their sum by weight."""
    found = splat(0.0, load_part(weight, 0))
    for p in range(panels):
        value = squared(x, p, features, centre, 0)
        if not first:
            value = smallest(value, load_panel(far, p * WIDTH))
        store(out, p * WIDTH, value)
        found = multiplied(load_panel(weight, p * WIDTH), value, found)
    return total(found)


@plain
def best_of(x, weight, rows, features, uniforms, count, first, far, tried, centre):
    """The best of so many rows as the next centre; distances to the nearest centre are then those with it."""
    panels, best, least, found = (rows + WIDTH - 1) // WIDTH, -1, 0.0, splat(0.0, load_part(weight, 0))
    kept = beyond(tried, panels * WIDTH if count > 1 else 0)
    for p in range(panels):
        found = multiplied(load_panel(weight, p * WIDTH), load_panel(far, p * WIDTH), found)
    for c in range(count):
        at = drawn(weight, far, rows, total(found), uniforms[c])
        for d in range(features):
            centre[d] = coordinate(x, at, d, features)
        rest = nearer(x, weight, panels, features, centre, first, far, tried)
        if best < 0 or rest < least:
            best, least = at, rest
            for p in range(panels if count > 1 else 0):
                store(kept, p * WIDTH, load_panel(tried, p * WIDTH))
    for p in range(panels):
        store(far, p * WIDTH, load_panel(kept, p * WIDTH))
    return best


@plain
def chosen(x, weight, rows, features, uniforms, candidates, components, anywhere, mean, far, tried, centre):
    """Centres, each far from those before it, or anywhere else."""
    for n in range((rows + WIDTH - 1) // WIDTH * WIDTH):
        far[n] = 1.0
    for k in range(components):
        several = candidates if k > 0 and not anywhere else 1
        draws = beyond(uniforms, k * candidates)
        at = best_of(x, weight, rows, features, draws, several, k == 0, far, tried, centre)
        for d in range(features):
            mean[k * features + d] = coordinate(x, at, d, features)
        for n in range(rows if anywhere else 0):
            far[n] = 1.0 if far[n] > 0.0 else 0.0


@plain
def spread(x, weight, panels, features, second):
    """The sum of the squares and products of rows."""
    for i in range(features):
        for j in range(i + 1):
            value = splat(0.0, load_part(weight, 0))
            for p in range(panels):
                share = load_panel(weight, p * WIDTH)
                row, other = load_panel(x, (p * features + i) * WIDTH), load_panel(x, (p * features + j) * WIDTH)
                value = multiplied(share * row, other, value)
            second[i * features + j] = second[j * features + i] = total(value)


@plain
def moments(second, mass, mean, unit, total, components, features, logits, means, covariance):
    """Weights, means and the pooled covariance of clusters, in the units of the rows as they were."""
    for k in range(components):
        logits[k] = math.log((mass[k] + 1 / components) / (total + 1))
        for d in range(features):
            means[k * features + d] = mean[k * features + d] * unit[d] if mass[k] > 0.0 else 0.0
    for i in range(features):
        for j in range(features):
            inside = within(second, mass, mean, components, features, i, j)
            whole = shrink(second, mass, mean, components, features, i) * second[i * features + j]
            whole *= shrink(second, mass, mean, components, features, j)
            value = (1 - _BLEND) * inside + _BLEND * whole
            covariance[i * features + j] = value / total * unit[i] * unit[j]


@plain
def within(second, mass, mean, components, features, i, j):
    """What of a sum of squares or products of rows is about the means of their clusters."""
    value = second[i * features + j]
    for k in range(components):
        value -= mass[k] * mean[k * features + i] * mean[k * features + j]
    return value


@plain
def shrink(second, mass, mean, components, features, d):
    """What makes a column of all rows no wider than so many times that within clusters."""
    whole, inside = second[d * features + d], within(second, mass, mean, components, features, d, d)
    return math.sqrt(_WIDEST * inside / whole) if inside > 0.0 and whole > _WIDEST * inside else 1.0


@plain
def clustered(x, weight, rows, mean, components, features, updates, mass, shift, nearest, far, lanes):
    """Updates of K-means until nothing moves, one at least; leaves the weights of the clusters."""
    for _ in range(updates):
        panels = (rows + WIDTH - 1) // WIDTH
        assign(x, weight, panels, mean, components, features, mass, shift, nearest, far, lanes)
        refill(x, weight, rows, mean, components, features, mass, shift, nearest, far)
        if not moved(mean, components, features, mass, shift) > _STILL * rows:
            break


@plain
def scaled(columns, unit, panels, features, out):
    """Rows in panels, each column in its unit."""
    for p in range(panels):
        for d in range(features):
            row = load_panel(columns, (p * features + d) * WIDTH)
            store(out, (p * features + d) * WIDTH, splat(1.0 / unit[d], row) * row)


@plain
def seeded(
    columns, weight, counts, places, total, unit, uniforms, kinds, sizes, scratch, logits, means, covariances, first,
    last,
):  # fmt: skip
    """Starts of the groups [first, last), all arrays given by where they are; see `seed`."""
    starts, components, features, candidates, most = sizes[0], sizes[1], sizes[2], sizes[3], sizes[4]
    size, far = components * features, beyond(scratch, most * features)
    tried, nearest = beyond(far, most), beyond(far, 3 * most)
    lanes = beyond(nearest, most)
    mean = beyond(lanes, (size + components) * PART)
    shift, mass, centre = beyond(mean, size), beyond(mean, 2 * size), beyond(mean, 2 * size + components)
    second = beyond(centre, features)
    for g in range(first, last):
        begin, rows, units = places[2 * g] * WIDTH, counts[g], beyond(unit, g * features)
        own, panels = beyond(weight, begin), places[2 * g + 1] - places[2 * g]
        scaled(beyond(columns, begin * features), units, panels, features, scratch)
        spread(scratch, own, panels, features, second)
        for s in range(g * starts, (g + 1) * starts):
            draws, kind = beyond(uniforms, s * components * candidates), 2 * (s - g * starts)
            anywhere, updates = kinds[kind] > 0, kinds[kind + 1]
            chosen(scratch, own, rows, features, draws, candidates, components, anywhere, mean, far, tried, centre)
            clustered(scratch, own, rows, mean, components, features, updates, mass, shift, nearest, far, lanes)
            log_weights, centres = beyond(logits, s * components), beyond(means, s * size)
            like = beyond(covariances, s * features * features)
            moments(second, mass, mean, units, total[g], components, features, log_weights, centres, like)


_F, _I = NUMBERS, WHOLE
_SEEDED = ir.FunctionType(VOID, [_F, _F, _I, _I, _F, _F, _F, _I, _I, _F, _F, _F, _F, INT, INT])


def seed(
    columns: Array,
    weight: Array,
    counts: Array,
    places: Array,
    total: Array,
    unit: Array,
    uniforms: Array,
    kinds: Array,
    logits: Array,
    means: Array,
    covariances: Array,
    first: int,
    last: int,
) -> None:
    """Starts of the groups [first, last).

    Arguments:
        columns, weight: Rows in panels, centred within their group, and their weights.
        counts: How many rows each group has, (G,).
        places: The first panel of each group and the one after its last, (G, 2).
        total, unit: The weight of all rows of each group, (G,), and the scale of its columns, (G, D).
        uniforms: Numbers in [0, 1) from which candidates for centres are drawn, (G, B, K, C).
        kinds: For each start whether centres may be any rows, and its updates of K-means, one at least, (B, 2).
        logits, means, covariances: Room for log weights (G, B, K), means (G, B, K, D), covariances (G, B, D, D).
    """
    _, starts, components, features = means.shape
    longest = -(-int(counts.max()) // WIDTH) * WIDTH
    sizes = np.array([starts, components, features, uniforms.shape[-1], longest])
    lanes, others = components * (1 + features) * PART, components * (1 + 2 * features) + features * (1 + features)
    scratch = zeros((4 + features) * longest + lanes + others)
    given = columns, weight, counts, places, total, unit, uniforms, kinds, sizes, scratch
    called(seeded, _SEEDED)(*pointers(*given, logits, means, covariances), first, last)
