r"""The M-step of one start: weights, means and covariances from sums, and the factors with which rows are read next.

With sums N, f and S about a reference m, :math:`\mu = m + f / N` and :math:`C = S / N - f f^\top / N^2`; the code says
what a structure makes of the matrices C. Parameters of a start lie one after another: log weights (K), constants (K),
means (K, D), factors (K, D, D), covariances (K, D, D).
"""

import math

import numpy as np

from ..native.panels import PART, load_part, total
from ..native.program import plain
from .calls import covariances_at
from .codes import EVI, SPHERICAL, TIED_DIAGONAL, TIED_FULL, TIED_SPHERICAL, VEE, VEI

__all__ = ["FACTOR", "collect", "factorise", "size_of_state", "size_of_sums", "update"]

_HALF_LOG_TWO_PI = 0.5 * math.log(2 * math.pi)
FACTOR = math.sqrt(0.5)
_PIVOT = 1e-15  # of a variance, for each column before: what is left of it is rounding


@plain
def size_of_sums(components, features):
    """Numbers of N, f and S."""
    return components * (1 + features + features * features)


@plain
def size_of_state(components, features):
    """Numbers of all parameters of a start."""
    return components * (2 + features + 2 * features * features)


@plain
def collect(lanes, components, features, dense, sums):
    """Adds up the lanes: N, f, and the lower triangles of S, which are mirrored, or their diagonals."""
    first = components * (1 + features)
    for i in range(first):
        sums[i] = total(load_part(lanes, i * PART))
    for k in range(components):
        at = first + k * features * features
        for i in range(features):
            for j in range(i + 1):
                value = total(load_part(lanes, (at + i * features + j) * PART)) if dense or i == j else 0.0
                sums[at + i * features + j] = sums[at + j * features + i] = value


@plain
def pool(weight, moment, components, square):
    """The mean of the matrices by weight, in the place of each."""
    total = 0.0
    for k in range(components):
        total += weight[k]
    for k in range(components):
        share = weight[k] / total
        for e in range(square):
            moment[e] = share * moment[k * square + e] + (moment[e] if k else 0.0)
    for e in range(square, components * square):
        moment[e] = moment[e - square]


@plain
def round_off(moment, components, features):
    """The mean of the diagonal, in the place of each of its entries."""
    square = features * features
    for k in range(components):
        value = 0.0
        for i in range(features):
            value += moment[k * square + i * (features + 1)]
        for i in range(features):
            moment[k * square + i * (features + 1)] = value / features


@plain
def structured(code, step, weight, moment, components, features, previous, first, room):
    """Covariances of each component's rows become those of a structure."""
    if code == TIED_FULL or code == TIED_DIAGONAL or code == TIED_SPHERICAL:
        pool(weight, moment, components, features * features)
    elif code == VEI or code == EVI or code >= VEE:
        covariances_at(step, code, weight, moment, previous, first, components, features, room)
    if code == SPHERICAL or code == TIED_SPHERICAL:
        round_off(moment, components, features)


@plain
def cholesky(state, c, a, dense, features, floor):
    """The triangle of a covariance, at a; minus infinity where a pivot is too narrow, else the sum of log pivots."""
    total = 0.0
    for i in range(features):
        for j in range(0 if dense else i, i + 1):
            value = state[c + i * features + j]
            for e in range(j if dense else 0):
                value -= state[a + i * features + e] * state[a + j * features + e]
            if i > j:
                state[a + i * features + j] = value / state[a + j * features + j]
                continue
            rounding = _PIVOT * (i + 1) * state[c + i * features + i]
            if not (value >= floor[i] and value > rounding and math.isfinite(value)):
                return -np.inf
            state[a + i * features + i] = math.sqrt(value)
            total += math.log(value)
    return total


@plain
def invert(state, a, dense, features):
    """The inverse of a triangle, in its place, times what makes a log joint of its squared lengths."""
    for j in range(features):
        state[a + j * features + j] = FACTOR / state[a + j * features + j]
    for j in range(features if dense else 0):
        for i in range(j + 1, features):
            value = 0.0
            for e in range(j, i):
                value -= state[a + i * features + e] * state[a + e * features + j]
            state[a + i * features + j] = value * state[a + i * features + i] / FACTOR


@plain
def factorise(dense, components, features, state, floor):
    """Factors and constants from weights and covariances; the first component that is too narrow, or -1."""
    square = features * features
    factors = components * (2 + features)
    for k in range(components):
        a = factors + k * square
        log_pivots = cholesky(state, a + components * square, a, dense, features, floor)
        if log_pivots == -np.inf:
            return k
        invert(state, a, dense, features)
        state[components + k] = state[k] - 0.5 * log_pivots - features * _HALF_LOG_TWO_PI
    return -1


@plain
def update(code, step, sums, reference, components, features, state, covariances, room):
    """Weights, means and covariances from sums about a reference; the first component that is broken, or -1."""
    square = features * features
    means = 2 * components
    matrices = means + components * (features + square)
    total = 0.0
    for k in range(components):
        total += sums[k]
    for k in range(components):
        weight = sums[k]
        if not (weight > 0.0 and math.isfinite(weight)):
            return k
        state[k] = math.log(weight / total)
        f, s, share = components + k * features, components * (1 + features) + k * square, 1.0 / weight
        for i in range(features):
            shift = sums[f + i] * share
            state[means + k * features + i] = reference[means + k * features + i] + shift
            if not math.isfinite(shift):
                return k
            for j in range(features):
                value = sums[s + i * features + j] * share - shift * (sums[f + j] * share)
                covariances[k * square + i * features + j] = value
    structured(code, step, sums, covariances, components, features, state, matrices, room)
    for e in range(components * square):
        state[matrices + e] = covariances[e]
    return -1
