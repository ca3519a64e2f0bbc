r"""Weibull laws on small tables, as the driver calls them: E-step and M-step.

A shape is K, D and rows in a panel. Rows are logarithms. A state is log weights (K), constants (K), logarithms of
scales and of shapes (K, D each). With y a row about the logarithm of a scale, :math:`w = e^{cy}`, sums are N (K), those
of r y, r w, r w y and r w y squared, and the logarithms at which they were made, of scales and of shapes (K, D each),
because steps go from there; see `components.weibull`, whose M-step is done here once more.
"""

import math

from ..native.machine import address
from ..native.panels import (
    PART,
    added,
    exp,
    fma,
    load_panel,
    load_part,
    multiplied,
    smallest,
    softmax,
    splat,
    store,
    total,
)
from ..native.program import plain
from .calls import EXPECT, MATCH

__all__ = ["calls", "size_of_spare"]

_LARGEST = 700.0  # of an exponent
_STEP, _CAREFUL = 0.5, 0.2  # the largest change of log c in one update, and the share of it that is sure to climb
_FAR = 50.0  # the size of the logarithm of a shape, which guesses may lead beyond
_SHARP = 1e4  # a shape from which on the variance is that of its limit
_VARIANCE = math.pi * math.pi / 6  # of the logarithm of an exponential number


@plain
def size_of_spare(components, features, width):
    """Numbers of scratch that the E-step takes."""
    return 2 * components * features * width


@plain
def expected(columns, weight, begin, end, state, shape, lanes, joint, spare, sums, plain):
    """Log-likelihood of the panels [begin, end), what all components share aside, and the sums, twice."""
    components, features, width = shape[0], shape[1], shape[2]
    each, likelihood = components * features, splat(0.0, load_panel(weight, 0))
    for i in range(components + 4 * each):
        store(lanes, i * PART, splat(0.0, load_part(weight, 0)))
    for p in range(begin, end):
        share = load_panel(weight, p * width)
        densities(columns, p, share, state, components, features, width, spare, joint)
        likelihood = fma(share, softmax(joint, 0, components, width), likelihood)
        for k in range(components):
            r = load_panel(joint, k * width) * share
            store(lanes, k * PART, added(r, load_part(lanes, k * PART)))
            for e in range(k * features, (k + 1) * features):
                weighed(r, spare, e, components, each, width, lanes)
    for i in range(components + 4 * each):
        sums[i] = plain[i] = total(load_part(lanes, i * PART))
    for e in range(2 * each):
        sums[components + 4 * each + e] = plain[components + 4 * each + e] = state[2 * components + e]
    return total(likelihood)


@plain
def densities(columns, p, share, state, components, features, width, spare, joint):
    """Log joints of a panel; leaves y and w of each component and column."""
    each = components * features
    for k in range(components):
        value = splat(state[components + k], share)
        for d in range(features):
            e = k * features + d
            y = load_panel(columns, (p * features + d) * width) - splat(state[2 * components + e], share)
            power = splat(math.exp(state[2 * components + each + e]), share) * y
            w = exp(smallest(power, splat(_LARGEST, share)))
            store(spare, 2 * e * width, y)
            store(spare, (2 * e + 1) * width, w)
            value = value + power - w
        store(joint, k * width, value)


@plain
def weighed(r, spare, e, components, each, width, lanes):
    """Adds a component's share of a panel to the sums by lane of one column."""
    y, at = load_panel(spare, 2 * e * width), (components + e) * PART
    pull, step = r * load_panel(spare, (2 * e + 1) * width), each * PART
    store(lanes, at, multiplied(r, y, load_part(lanes, at)))
    store(lanes, at + step, added(pull, load_part(lanes, at + step)))
    store(lanes, at + 2 * step, multiplied(pull, y, load_part(lanes, at + 2 * step)))
    store(lanes, at + 3 * step, multiplied(pull * y, y, load_part(lanes, at + 3 * step)))


@plain
def matched(begins, sums, about, floor, shape, state, spare, room):
    """The M-step: parameters from sums; the component that broke, or -1.

    A state that begins has parameters, and lacks its constants; or the update is to be cautious.
    """
    components, features = shape[0], shape[1]
    each, total = components * features, 0.0
    for k in range(components):
        total += sums[k]
    for k in range(components):
        if begins != 1:
            if not (sums[k] > 0.0 and math.isfinite(sums[k])):
                return k
            state[k] = math.log(sums[k] / total)
        state[components + k] = state[k]
        for d in range(features):
            e = k * features + d
            if begins != 1:
                moved(_CAREFUL if begins == 2 else 1.0, sums, sums[k], components, each, e, state)
            state[components + k] += state[2 * components + each + e]
            wide = variance(state[2 * components + e], state[2 * components + each + e])
            if not (wide >= floor[d] and math.isfinite(state[components + k])):
                return k
    return -1


@plain
def moved(share, sums, weight, components, each, e, state):
    """The scale and the shape of one column after a share of a step; numbers that are none where there is none."""
    at = components + e
    logs, mass, first, second = sums[at], sums[at + each], sums[at + 2 * each], sums[at + 3 * each]
    scale, log_shape = sums[at + 4 * each], sums[at + 5 * each]
    log_shape = -_FAR if log_shape < -_FAR else _FAR if log_shape > _FAR else log_shape
    c, mean = math.exp(log_shape), first / mass
    spread = second / mass - mean * mean
    spread = spread if spread > 0.0 else 0.0
    lag = c * (logs - weight * mean)
    bend = lag - weight * c * c * spread
    step = -(weight + lag) / (bend if bend < 0.0 else -weight)
    step = share * (_STEP if step > _STEP else -_STEP if step < -_STEP else step)
    new = c * math.exp(step)
    log_mass = math.log(mass / weight) + mean * (new - c) + 0.5 * spread * (new - c) * (new - c)
    state[2 * components + e] = scale + log_mass / new
    state[2 * components + each + e] = log_shape + step


@plain
def variance(log_scale, log_shape):
    """The variance of a law."""
    c, square = math.exp(log_shape), math.exp(2.0 * log_scale)
    if c > _SHARP:
        return square * _VARIANCE / (c * c)
    mean = math.exp(math.lgamma(1.0 + 1.0 / c))
    return square * (math.exp(math.lgamma(1.0 + 2.0 / c)) - mean * mean)


def calls() -> tuple[int, int]:
    """Addresses of the E-step and of the M-step."""
    return address(expected, EXPECT), address(matched, MATCH)
