r"""The M-step of one start of regressions: least squares, or a step of Newton's that is sure to climb.

Sums are N (K), S (K), the pulls (K, Q), the matrices H (K, Q, Q) and, of successes in trials, G (K, Q, Q), about the
effects of some state: the most likely step from there, to second order, is :math:`d = H^{-1} \text{pull}`. Of a linear
law it is exact, and the variance is :math:`(S - d \cdot \text{pull})/N`. Of the others a share a of the way from where
the state is climbs where :math:`a e^{a\delta} < 2`, with :math:`\delta` the most by which the whole way changes a
predictor (see `components.regression.generalised`); the share taken has :math:`a e^{a\delta} = 1.8` at most.

A state is log weights (K), constants of log joints (K), effects (K, Q) and scales (K). The floors are the largest size
of each column of the design, and then the least variance of residuals.
"""

import math

from ..native.panels import beyond
from ..native.program import plain
from ..regression_steps.laws import LINEAR, LOGISTIC

__all__ = ["begin", "certain", "solve", "update"]

_HALF_LOG_TWO_PI = 0.9189385332046727
_NONE = 1e-13  # a pivot of a matrix with ones on its diagonal, for each column, that is none
_STEEP = 1.8
_NO_DOUBT, _HARDLY = 1e-3, 1e-6  # trials that leave a doubt, and of their share, below which there is none


@plain
def begin(law, components, design, state):
    """Fills in the constants of log joints."""
    scale = (2 + design) * components
    for k in range(components):
        beside = math.log(state[scale + k]) + _HALF_LOG_TWO_PI if law == LINEAR else 0.0
        state[components + k] = state[k] - beside


@plain
def factorise(matrix, less, by, q, out):
    """The triangle of a matrix less some of another, in units of the first's columns; returns the least pivot.

    A column that depends on others before it has zeros.
    """
    least = math.inf
    for i in range(q):
        for j in range(i + 1):
            found = (matrix[i * q + j] - by * less[i * q + j]) / unit(matrix, i, q) / unit(matrix, j, q)
            for m in range(j):
                found -= out[i * q + m] * out[j * q + m]
            if j < i:
                out[i * q + j] = found / out[j * q + j] if out[j * q + j] > 0.0 else 0.0
        least = found if found < least else least
        out[i * q + i] = math.sqrt(found) if found > _NONE * q else 0.0
    return least


@plain
def unit(matrix, i, q):
    """The length of a column, one where it is zero."""
    square = matrix[i * q + i]
    return math.sqrt(square) if square > 0.0 else 1.0


@plain
def solve(matrix, right, q, triangle, out):
    """The solution of a system, with no part in columns that depend on others; returns its product with the right."""
    factorise(matrix, matrix, 0.0, q, triangle)
    for i in range(q):
        found = right[i] / unit(matrix, i, q)
        for j in range(i):
            found -= triangle[i * q + j] * out[j]
        out[i] = found / triangle[i * q + i] if triangle[i * q + i] > 0.0 else 0.0
    product = 0.0
    for m in range(q):
        i = q - 1 - m
        for j in range(i + 1, q):
            out[i] -= triangle[j * q + i] * out[j]
        out[i] = out[i] / triangle[i * q + i] if triangle[i * q + i] > 0.0 else 0.0
    for i in range(q):
        out[i] /= unit(matrix, i, q)
        product += out[i] * right[i]
    return product


@plain
def sure(far):
    """The share of a way that is sure to climb."""
    if far * math.exp(far) <= _STEEP * far:
        return 1.0
    x = math.log(1.0 + _STEEP * far)
    for _ in range(6):
        x -= (x * math.exp(x) - _STEEP * far) / (math.exp(x) * (x + 1.0))
    return x / far


@plain
def certain(weight, curvature, trials, q, triangle):
    """Whether successes and failures lie apart along some direction, so that effects grow for ever."""
    least = _HARDLY * weight
    least = _NO_DOUBT if least < _NO_DOUBT else least
    if factorise(trials, trials, 0.0, q, triangle) <= _NONE * q:
        return False
    return factorise(curvature, trials, least / weight, q, triangle) <= 0.0


@plain
def update(law, sums, about, floor, components, q, state, room):
    """Parameters from sums; the first component that broke, or -1. The room is for a matrix and a vector."""
    square, scales = q * q, (2 + q) * components
    pulls = 2 * components
    grams, total = pulls + components * q, 0.0
    for k in range(components):
        total += sums[k]
    for k in range(components):
        weight, way = sums[k], beyond(room, square)
        if not (weight > 0.0 and math.isfinite(weight)):
            return k
        gram = beyond(sums, grams + k * square)
        gained = solve(gram, beyond(sums, pulls + k * q), q, room, way)
        at = 2 * components + k * q
        if not math.isfinite(moved(law, at, about, floor, way, q, state)):
            return k
        if law == LINEAR:
            variance = (sums[components + k] - gained) / weight
            state[scales + k] = math.sqrt(variance)
            if not variance >= floor[q]:
                return k
        if law == LOGISTIC and certain(weight, gram, beyond(sums, grams + (components + k) * square), q, room):
            return k
        state[k] = math.log(weight / total)
    begin(law, components, q, state)
    return -1


@plain
def moved(law, at, about, floor, way, q, state):
    """Takes the effects of a component along their way, all of it where the law is linear, else what is sure.

    Returns a number that is finite where they are.
    """
    far, found = 0.0, 0.0
    for j in range(q):
        way[j] += about[at + j] - state[at + j]
        far += abs(way[j]) * floor[j]
    share = 1.0 if law == LINEAR else sure(far)
    for j in range(q):
        state[at + j] += share * way[j]
        found += 0.0 * state[at + j]
    return found
