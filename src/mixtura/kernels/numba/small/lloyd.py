r"""K-means of small tables: many updates of many starts, one start after another.

The objective is that of `KMeans`, :math:`-\tfrac D2 (1 + \log(2\pi J/(nD))) - \log K` nats a row with J the sum of
squared distances. A cluster without rows takes the row farthest from its own centre.
"""

import math

import numpy as np
from numba import njit

from ..jit import plain

__all__ = ["lloyd"]

_TINY = np.finfo(np.float64).tiny


@plain
def assign(x, weight, mean, mass, shift, nearest, far):
    """Sums about the centres of the rows nearest to each; returns the sum of squared distances."""
    components, features = mean.shape
    for k in range(components):
        mass[k] = 0.0
        for d in range(features):
            shift[k, d] = 0.0
    total = 0.0
    for n in range(x.shape[0]):
        best, at = np.inf, 0
        for k in range(components):
            distance = 0.0
            for d in range(features):
                distance += (x[n, d] - mean[k, d]) ** 2
            if distance < best:
                best, at = distance, k
        nearest[n], far[n] = at, best
        total += weight[n] * best
        mass[at] += weight[n]
        for d in range(features):
            shift[at, d] += weight[n] * (x[n, d] - mean[at, d])
    return total


@plain
def refill(x, weight, mean, mass, shift, nearest, far):
    """Moves one far row to each cluster that has none; returns how much the sum of squares grows by that."""
    components, features = mean.shape
    more = 0.0
    for k in range(components):
        if mass[k] > 0.0:
            continue
        n = -1
        for row in range(x.shape[0]):
            if weight[row] > 0.0 and far[row] > 0.0 and (n < 0 or far[row] > far[n]):
                n = row
        if n < 0:
            return more
        giver, w = nearest[n], weight[n]
        more -= w * far[n]
        far[n] = 0.0
        mass[giver] -= w
        mass[k] += w
        for d in range(features):
            shift[giver, d] -= w * (x[n, d] - mean[giver, d])
            shift[k, d] += w * (x[n, d] - mean[k, d])
            more += w * (x[n, d] - mean[k, d]) ** 2
    return more


@plain
def moved(mean, mass, shift):
    """Moves the centres to the middle of their rows; returns by how much the sum of squares falls."""
    less = 0.0
    for k in range(mean.shape[0]):
        for d in range(mean.shape[1]):
            step = shift[k, d] / mass[k] if mass[k] > 0.0 else 0.0
            mean[k, d] += step
            less += mass[k] * step * step
    return less


@njit(error_model="numpy", nogil=True, cache=True)
def lloyd(x, weight, total, means, spread, updates, tolerance, precision, traces, ends, first, last):
    """Advances the starts [first, last) of centres (S, K, D), in place, until nothing moves or updates run out.

    Leaves the mean squared distance by number, (S,), the objectives, (S, updates + 1), and how each start ended and how
    many objectives it has, (S, 2).
    """
    _, components, features = means.shape
    mass, shift = np.empty(components), np.empty((components, features))
    nearest, far = np.empty(x.shape[0], np.int64), np.empty(x.shape[0])
    for s in range(first, last):
        mean, trace, made, ended = means[s], traces[s], 0, 0
        while True:
            squares = assign(x, weight, mean, mass, shift, nearest, far)
            each = max(squares / (total * features), _TINY)
            trace[made] = -0.5 * features * (1 + math.log(2 * math.pi * each)) - math.log(components)
            made += 1
            if made == 1:
                spread[s] = squares / (total * features)
            if made > 1 and tolerance > 0.0:
                slack = max(tolerance, precision * max(1.0, abs(trace[made - 1])))
                if trace[made - 1] - trace[made - 2] <= slack:
                    ended = 1
                    break
            if made > updates:
                break
            squares += refill(x, weight, mean, mass, shift, nearest, far)
            spread[s] = max(0.0, squares - moved(mean, mass, shift)) / (total * features)
        ends[s, 0], ends[s, 1] = ended, made
