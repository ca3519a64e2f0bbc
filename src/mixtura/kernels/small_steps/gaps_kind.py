r"""Gaussians on small tables with gaps, as the driver calls them: the E-step; the M-step is that of Gaussians.

Rows with the same gaps lie together, their panels one behind the other. What is missing of them is expected given what
is there, which is linear in it: with o what is recorded, sums :math:`f_o, S_o` of so many rows about the means become

.. math:: f = A f_o, \qquad S = A S_o A^\top + N (V - A V_{o\cdot}), \qquad A = V_{\cdot o} V_{oo}^{-1},

once for each pattern of gaps and component, however many rows there are. A shape is that of Gaussians; behind the
panels of all rows stands a number for each of them, whose binary digits say which coordinates were recorded.
"""

import math

from ..native.machine import address
from ..native.panels import beyond
from ..native.program import plain
from .calls import EXPECT, MATCH
from .codes import FULL
from .gaussian_kind import about_origin, matched, shared_step
from .gaussian_step import collect, factorise, size_of_state, size_of_sums
from .gaussian_sums import expect

__all__ = ["calls", "shared_step", "size_of_spare"]

_HALF_LOG_TWO_PI = 0.9189385332046727


@plain
def size_of_spare(components, features, width):
    """Numbers of scratch that the E-step takes."""
    more = 2 * features + 3 * features * features
    return (
        components * features * width + size_of_state(components, features) + size_of_sums(components, features) + more
    )


@plain
def expected(columns, weight, begin, end, state, shape, lanes, joint, spare, sums, plain):
    """Log-likelihood of the panels [begin, end), and the sums expected, about the means and about the origin."""
    components, features, width, dense = shape[0], shape[1], shape[2], shape[3] >= FULL
    codes, seen = beyond(columns, end * features * width), beyond(spare, components * features * width)
    own = beyond(seen, size_of_state(components, features))
    mask = beyond(own, size_of_sums(components, features))
    room = beyond(mask, features)
    likelihood, first = 0.0, begin
    for i in range(size_of_sums(components, features)):
        sums[i] = 0.0
    while first < end:
        last = first + 1
        while last < end and codes[last] == codes[first]:
            last += 1
        base = recorded(codes[first], state, components, features, dense, seen, mask, room)
        for p in range(first, last):
            likelihood += base * total_of(weight, p * width, width)
        likelihood += expect(
            columns, weight, first, last, seen, components, features, dense, shape[5] > 0, width, spare, joint, lanes
        )
        collect(lanes, components, features, dense, own)
        for k in range(components):
            completed(own, seen, state, k, components, features, dense, mask, room, sums)
        first = last
    about_origin(sums, state, components, features, plain)
    return likelihood


@plain
def total_of(weight, at, count):
    """The sum of some numbers."""
    found = 0.0
    for i in range(count):
        found += weight[at + i]
    return found


@plain
def recorded(code, state, components, features, dense, seen, mask, floor):
    """The law of what is recorded, as a state; what is missing is independent there, at zero, of variance one.

    Returns what log-likelihoods lack for that; NaN where there is no such law.
    """
    square, base, rest = features * features, 0.0, int(code)
    for i in range(features):
        mask[i] = float(rest % 2)
        rest = rest // 2
        floor[i] = 0.0
        base += (1.0 - mask[i]) * _HALF_LOG_TWO_PI
    for k in range(components):
        means, matrix = 2 * components + k * features, components * (2 + features + features * features) + k * square
        seen[k] = state[k]
        for i in range(features):
            seen[means + i] = state[means + i] * mask[i]
            for j in range(features):
                apart = 1.0 if i == j else 0.0
                both = mask[i] * mask[j] > 0.0 and (dense or i == j)
                seen[matrix + i * features + j] = state[matrix + i * features + j] if both else apart
    return base if factorise(dense, components, features, seen, floor) < 0 else math.nan


@plain
def regression(seen, factor, state, matrix, i, features, mask, room, out):
    """The row of A of a coordinate."""
    for e in range(features):
        room[e] = 0.0
        for j in range(e + 1):
            room[e] += seen[factor + e * features + j] * mask[j] * state[matrix + i * features + j]
    for j in range(features):
        out[j] = 0.0
        for e in range(j, features):
            out[j] += 2.0 * seen[factor + e * features + j] * room[e]


@plain
def completed(own, seen, state, k, components, features, dense, mask, room, sums):
    """Adds the sums of rows of one pattern, of a component, with what is expected of what is missing."""
    square = features * features
    f, s = components + k * features, components * (1 + features) + k * square
    factor, matrix = components * (2 + features) + k * square, components * (2 + features + square) + k * square
    way, half = beyond(room, features), beyond(room, features + square)
    sums[k] += own[k]
    for i in range(features):
        for j in range(features):
            way[i * features + j] = 1.0 if i == j and mask[i] > 0.0 else 0.0
        if dense and not mask[i] > 0.0:
            regression(seen, factor, state, matrix, i, features, mask, room, beyond(way, i * features))
    for i in range(features):
        for j in range(features):
            sums[f + i] += way[i * features + j] * own[f + j]
            half[i * features + j] = 0.0
            for e in range(features):
                half[i * features + j] += way[i * features + e] * own[s + e * features + j]
    for i in range(features):
        for j in range(i + 1 if dense else 0):
            value = left(state, matrix, way, i, j, features, mask) * own[k]
            for e in range(features):
                value += half[i * features + e] * way[j * features + e]
            sums[s + i * features + j] += value
            sums[s + j * features + i] = sums[s + i * features + j]
    for i in range(0 if dense else features):
        at = i * features + i
        sums[s + at] += own[s + at] if mask[i] > 0.0 else own[k] * state[matrix + at]


@plain
def left(state, matrix, way, i, j, features, mask):
    """The covariance of two coordinates that is left given what is recorded."""
    if mask[i] > 0.0 or mask[j] > 0.0:
        return 0.0
    value = state[matrix + i * features + j]
    for e in range(features):
        value -= way[i * features + e] * mask[e] * state[matrix + e * features + j]
    return value


def calls() -> tuple[int, int]:
    """Addresses of the E-step and of the M-step."""
    return address(expected, EXPECT), address(matched, MATCH)
