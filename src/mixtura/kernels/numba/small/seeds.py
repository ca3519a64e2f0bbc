r"""Where groups of rows start: k-means++ (Arthur and Vassilvitskii, 2007), a few updates of K-means, moments.

Rows are centred and scaled by column within their group, so the mean of the group is the origin. A start's weights are
those of its clusters, its means theirs, and all its components have the pooled covariance :math:`W - 0.99 B` of the
total W and that between the clusters B, as in `starting_moments`. Arrays are flat.
"""

import math

import numpy as np
from llvmlite import ir

from ...native.machine import called
from ...native.panels import beyond
from ...native.program import plain
from ...native.values import INT, NUMBERS, VOID, WHOLE
from .calls import Array, pointers
from .lloyd import assign, moved

__all__ = ["seed"]

_LLOYD = 3
_BLEND = 0.01  # of the total covariance in the first guess


@plain
def drawn(weight, far, rows, uniform):
    """The row at a share of the sum of weights times distances; of the weights alone where all distances are zero."""
    total = 0.0
    for n in range(rows):
        total += weight[n] * far[n]
    left, last = uniform * total, 0
    for n in range(rows):
        if weight[n] > 0.0:
            last = n
            left -= weight[n] * far[n]
            if left < 0.0:
                return n
    return last


@plain
def chosen(x, weight, rows, uniforms, mean, components, features, far):
    """Centres, each drawn with probability proportional to the squared distance to the nearest one before it."""
    for n in range(rows):
        far[n] = 1.0
    for k in range(components):
        at = drawn(weight, far, rows, uniforms[k])
        for d in range(features):
            mean[k * features + d] = x[at * features + d]
        for n in range(rows):
            squared = 0.0
            for d in range(features):
                squared += (x[n * features + d] - mean[k * features + d]) ** 2
            far[n] = squared if k == 0 or squared < far[n] else far[n]


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
            value = second[i * features + j]
            for k in range(components):
                value -= (1 - _BLEND) * mass[k] * mean[k * features + i] * mean[k * features + j]
            covariance[i * features + j] = value / total * unit[i] * unit[j]


@plain
def seeded(x, weight, places, total, unit, uniforms, sizes, logits, means, covariances, scratch, nearest, first, last):
    """Starts of the groups [first, last), all arrays given by where they are; see `seed`."""
    starts, components, features = sizes[0], sizes[1], sizes[2]
    size = components * features
    shift, mass = beyond(scratch, size), beyond(scratch, 2 * size)
    second = beyond(mass, components)
    far = beyond(second, features * features)
    for g in range(first, last):
        begin, rows = places[2 * g], places[2 * g + 1] - places[2 * g]
        own, counts, units = beyond(x, begin * features), beyond(weight, begin), beyond(unit, g * features)
        spread(own, counts, rows, features, second)
        for s in range(g * starts, (g + 1) * starts):
            chosen(own, counts, rows, beyond(uniforms, s * components), scratch, components, features, far)
            for _ in range(_LLOYD):
                assign(own, counts, rows, scratch, components, features, mass, shift, nearest, far)
                moved(scratch, components, features, mass, shift)
            log_weights, centres = beyond(logits, s * components), beyond(means, s * size)
            like = beyond(covariances, s * features * features)
            moments(second, mass, scratch, units, total[g], components, features, log_weights, centres, like)


_F, _I = NUMBERS, WHOLE
_SEEDED = ir.FunctionType(VOID, [_F, _F, _I, _F, _F, _F, _I, _F, _F, _F, _F, _I, INT, INT])


def seed(
    x: Array,
    weight: Array,
    places: Array,
    total: Array,
    unit: Array,
    uniforms: Array,
    logits: Array,
    means: Array,
    covariances: Array,
    first: int,
    last: int,
) -> None:
    """Starts of the groups [first, last).

    Arguments:
        x, weight: Rows, centred and scaled within their group, (N, D), and their weights, (N,).
        places: The first row of each group and the one after its last, (G, 2).
        total, unit: The weight of all rows of each group, (G,), and the scale of its columns, (G, D).
        uniforms: Numbers in [0, 1), (G, B, K).
        logits, means, covariances: Room for log weights (G, B, K), means (G, B, K, D), covariances (G, B, D, D).
    """
    _, starts, components, features = means.shape
    longest = int((places[:, 1] - places[:, 0]).max())
    sizes, nearest = np.array([starts, components, features]), np.zeros(longest, np.int64)
    scratch = np.zeros(2 * components * features + components + features * features + longest)
    given = x, weight, places, total, unit, uniforms, sizes, logits, means, covariances, scratch, nearest
    called(seeded, _SEEDED)(*pointers(*given), first, last)
