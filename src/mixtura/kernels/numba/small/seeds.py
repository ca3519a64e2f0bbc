r"""Where groups of rows start: k-means++ (Arthur and Vassilvitskii, 2007), a few updates of K-means, moments.

Rows are centred and scaled by column within their group, so the mean of the group is the origin. A start's weights are
those of its clusters, its means theirs, and all its components have the pooled covariance :math:`W - 0.99 B` of the
total W and that between the clusters B, as in `starting_moments`.
"""

import math

import numpy as np
from numba import njit

from ..jit import plain
from .lloyd import assign, moved

__all__ = ["seed"]

_LLOYD = 3
_BLEND = 0.01  # of the total covariance in the first guess


@plain
def drawn(weight, far, uniform):
    """The row at a share of the sum of weights times distances; of the weights alone where all distances are zero."""
    total = 0.0
    for n in range(weight.size):
        total += weight[n] * far[n]
    left, last = uniform * total, 0
    for n in range(weight.size):
        if weight[n] > 0.0:
            last = n
            left -= weight[n] * far[n]
            if left < 0.0:
                return n
    return last


@plain
def chosen(x, weight, uniforms, mean, far):
    """Centres, each drawn with probability proportional to the squared distance to the nearest one before it."""
    for n in range(x.shape[0]):
        far[n] = 1.0
    for k in range(mean.shape[0]):
        at = drawn(weight, far, uniforms[k])
        for d in range(x.shape[1]):
            mean[k, d] = x[at, d]
        for n in range(x.shape[0]):
            squared = 0.0
            for d in range(x.shape[1]):
                squared += (x[n, d] - mean[k, d]) ** 2
            far[n] = squared if k == 0 or squared < far[n] else far[n]


@plain
def moments(x, weight, mass, mean, unit, total, logits, means, covariance):
    """Weights, means and the pooled covariance of clusters, in the units of the rows as they were."""
    components, features = mean.shape
    for k in range(components):
        logits[k] = math.log((mass[k] + 1 / components) / (total + 1))
        for d in range(features):
            means[k, d] = mean[k, d] * unit[d] if mass[k] > 0.0 else 0.0
    for i in range(features):
        for j in range(features):
            value = 0.0
            for n in range(x.shape[0]):
                value += weight[n] * x[n, i] * x[n, j]
            for k in range(components):
                value -= (1 - _BLEND) * mass[k] * mean[k, i] * mean[k, j]
            covariance[i, j] = value / total * unit[i] * unit[j]


@njit(error_model="numpy", nogil=True, cache=True)
def seed(x, weight, places, total, unit, uniforms, logits, means, covariances, first, last):
    """Starts of the groups [first, last).

    Arguments:
        x, weight: Rows, centred and scaled within their group, (N, D), and their weights, (N,).
        places: The first row of each group and the one after its last, (G, 2).
        total, unit: The weight of all rows of each group, (G,), and the scale of its columns, (G, D).
        uniforms: Numbers in [0, 1), (G, B, K).
        logits, means, covariances: Room for log weights (G, B, K), means (G, B, K, D), covariances (G, B, D, D).
    """
    _, starts, components, features = means.shape
    longest = 0
    for g in range(first, last):
        longest = max(longest, places[g, 1] - places[g, 0])
    mean, mass, shift = np.empty((components, features)), np.empty(components), np.empty(components * features)
    nearest, far = np.empty(longest, np.int64), np.empty(longest)
    for g in range(first, last):
        begin, end = places[g, 0], places[g, 1]
        rows, counts = x[begin:end], weight[begin:end]
        for b in range(starts):
            chosen(rows, counts, uniforms[g, b], mean, far)
            for _ in range(_LLOYD):
                flat, centres = rows.reshape(-1), mean.reshape(-1)
                assign(flat, counts, end - begin, centres, components, features, mass, shift, nearest, far)
                moved(centres, components, features, mass, shift)
            moments(rows, counts, mass, mean, unit[g], total[g], logits[g, b], means[g, b], covariances[g, b])
