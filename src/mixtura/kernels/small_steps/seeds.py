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
from ..native.panels import WIDTH, beyond
from ..native.program import plain
from ..native.values import INT, NUMBERS, VOID, WHOLE
from .calls import Array, pointers
from .lloyd import assign, distance, moved, refill

__all__ = ["seed"]

_BLEND = 0.01  # of the total covariance in the first guess
_WIDEST = 1e4  # times the variance within clusters: the most that the total one counts
_STILL = 1e-12  # by how much squared distances fall, for each row, where centres stay


@plain
def drawn(weight, far, rows, total, uniform):
    """The row at a share of the sum of weights times distances; the last one that counts where all are zero."""
    left, last = uniform * total, 0
    for n in range(rows):
        if weight[n] > 0.0:
            last = n
            left -= weight[n] * far[n]
            if left < 0.0:
                return n
    return last


@plain
def nearer(x, weight, rows, features, at, first, far, out):
    """Squared distances to the nearest centre if a row is the next one; returns their sum by weight."""
    total = 0.0
    for n in range(rows):
        squared = distance(x, n * features, x, at * features, features)
        out[n] = squared if first or squared < far[n] else far[n]
        total += weight[n] * out[n]
    return total


@plain
def best_of(x, weight, rows, features, uniforms, count, first, far, tried):
    """The best of so many rows as the next centre; distances to the nearest centre are then those with it."""
    best, least, total = -1, 0.0, 0.0
    for n in range(rows):
        total += weight[n] * far[n]
    kept = beyond(tried, rows if count > 1 else 0)
    for c in range(count):
        at = drawn(weight, far, rows, total, uniforms[c])
        rest = nearer(x, weight, rows, features, at, first, far, tried)
        if best < 0 or rest < least:
            best, least = at, rest
            for n in range(rows if count > 1 else 0):
                kept[n] = tried[n]
    for n in range(rows):
        far[n] = kept[n]
    return best


@plain
def chosen(x, weight, rows, features, uniforms, candidates, components, anywhere, mean, far, tried):
    """Centres, each far from those before it, or anywhere else."""
    for n in range(rows):
        far[n] = 1.0
    for k in range(components):
        several = candidates if k > 0 and not anywhere else 1
        draws = beyond(uniforms, k * candidates)
        at = best_of(x, weight, rows, features, draws, several, k == 0, far, tried)
        for d in range(features):
            mean[k * features + d] = x[at * features + d]
        for n in range(rows if anywhere else 0):
            far[n] = 1.0 if far[n] > 0.0 else 0.0


@plain
def spread(x, weight, rows, features, second):
    """The sum of the squares and products of rows."""
    for i in range(features):
        for j in range(features):
            value = 0.0
            for n in range(rows):
                value += weight[n] * x[n * features + i] * x[n * features + j]
            second[i * features + j] = value


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
def clustered(x, weight, rows, mean, components, features, updates, mass, shift, nearest, far):
    """Updates of K-means until nothing moves, one at least; leaves the weights of the clusters."""
    for _ in range(updates):
        assign(x, weight, rows, mean, components, features, mass, shift, nearest, far)
        refill(x, weight, rows, mean, components, features, mass, shift, nearest, far)
        if not moved(mean, components, features, mass, shift) > _STILL * rows:
            break


@plain
def scaled(columns, unit, rows, features, out):
    """Rows out of panels, each column in its unit."""
    for d in range(features):
        scale = 1.0 / unit[d]
        for p in range((rows + WIDTH - 1) // WIDTH):
            begin, where = p * WIDTH, (p * features + d) * WIDTH
            for n in range(begin, begin + WIDTH if begin + WIDTH < rows else rows):
                out[n * features + d] = columns[where + n - begin] * scale


@plain
def seeded(
    columns, weight, counts, places, total, unit, uniforms, kinds, sizes, scratch, nearest, logits, means, covariances,
    first, last,
):  # fmt: skip
    """Starts of the groups [first, last), all arrays given by where they are; see `seed`."""
    starts, components, features, candidates = sizes[0], sizes[1], sizes[2], sizes[3]
    size, mean = components * features, scratch
    shift, mass = beyond(scratch, size), beyond(scratch, 2 * size)
    second = beyond(mass, components)
    far = beyond(second, features * features)
    tried = beyond(far, sizes[4])
    x = beyond(tried, 2 * sizes[4])
    for g in range(first, last):
        begin, rows, units = places[2 * g] * WIDTH, counts[g], beyond(unit, g * features)
        own = beyond(weight, begin)
        scaled(beyond(columns, begin * features), units, rows, features, x)
        spread(x, own, rows, features, second)
        for s in range(g * starts, (g + 1) * starts):
            draws, kind = beyond(uniforms, s * components * candidates), 2 * (s - g * starts)
            anywhere, updates = kinds[kind] > 0, kinds[kind + 1]
            chosen(x, own, rows, features, draws, candidates, components, anywhere, mean, far, tried)
            clustered(x, own, rows, mean, components, features, updates, mass, shift, nearest, far)
            log_weights, centres = beyond(logits, s * components), beyond(means, s * size)
            like = beyond(covariances, s * features * features)
            moments(second, mass, mean, units, total[g], components, features, log_weights, centres, like)


_F, _I = NUMBERS, WHOLE
_SEEDED = ir.FunctionType(VOID, [_F, _F, _I, _I, _F, _F, _F, _I, _I, _F, _I, _F, _F, _F, INT, INT])


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
    longest = int(counts.max())
    sizes = np.array([starts, components, features, uniforms.shape[-1], longest])
    numbers = components * (1 + 2 * features) + features**2 + (3 + features) * longest
    scratch, nearest = np.empty(numbers), np.empty(longest, np.int64)
    given = columns, weight, counts, places, total, unit, uniforms, kinds, sizes, scratch, nearest
    called(seeded, _SEEDED)(*pointers(*given, logits, means, covariances), first, last)
