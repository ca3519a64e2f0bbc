"""Regressions on small tables, as the driver calls them: E-step and M-step.

A shape is K, the columns of a row, rows in a panel, the law, the columns of the design and those of covariates. Rows
are as a tile of `regression_steps` has them.
"""

from ..native.machine import address
from ..native.panels import beyond
from ..native.program import plain
from ..regression_steps.laws import LOGISTIC
from ..regression_steps.sums import Shape, Tile, add_tile, columns_of, sums_of
from .calls import EXPECT, MATCH
from .regression_step import begin, update

__all__ = ["calls"]


@plain
def expected(columns, weight, begin, end, state, shape, lanes, joint, spare, sums, plain):
    """Log-likelihood of the panels [begin, end), what all components share aside, and sums about here and zero."""
    size = Shape(1, shape[0], shape[4], shape[5], 1, shape[2], shape[3])
    k, q, width = size.components, size.design, size.width
    gap, weighed = spare, beyond(spare, 2 * k * width)
    raw = beyond(weighed, q * width)
    found = beyond(raw, k * sums_of(q))
    level, slope, precision = beyond(found, 1), beyond(found, 1 + k), beyond(found, 1 + k + k * size.covariates)
    spelled(state, size, level, slope, precision)
    found[0] = 0.0
    for i in range(k * sums_of(q)):
        raw[i] = 0.0
    for p in range(begin, end):
        rows, share = beyond(columns, p * columns_of(q) * width), beyond(weight, p * width)
        tile = Tile(rows, share, joint, gap, beyond(gap, k * width), weighed)
        add_tile(tile, level, slope, precision, beyond(state, k), size, found, raw)
    arranged(raw, size, sums)
    about_zero(sums, state, size, plain)
    return found[0]


@plain
def spelled(state, size, level, slope, precision):
    """Effects as levels and slopes, scales as precisions."""
    k, q, p = size.components, size.design, size.covariates
    for c in range(k):
        level[c] = state[2 * k + c * q] if q > p else 0.0
        precision[c] = 1.0 / state[(2 + q) * k + c]
        for j in range(p):
            slope[c * p + j] = state[2 * k + c * q + q - p + j]


@plain
def arranged(raw, size, sums):
    """Sums of a tile as those of the M-step: the same of all components together, matrices whole."""
    k, q, square = size.components, size.design, size.design * size.design
    for c in range(k):
        own = beyond(raw, c * sums_of(q))
        sums[c], sums[k + c] = own[0], own[1]
        for i in range(q):
            sums[2 * k + c * q + i] = own[2 + i]
            for j in range(i + 1):
                at, gram = 2 + 2 * q + i * q + j, (2 + q) * k + c * square
                sums[gram + i * q + j] = sums[gram + j * q + i] = own[at]
                if size.law == LOGISTIC:
                    trials = gram + k * square
                    sums[trials + i * q + j] = sums[trials + j * q + i] = own[at + square]


@plain
def about_zero(sums, state, size, out):
    """Sums about the effects of a state as sums about zero: exact of a linear law, to second order of others."""
    k, q = size.components, size.design
    matrices = (2 if size.law == LOGISTIC else 1) * k * q * q
    for i in range(matrices):
        out[(2 + q) * k + i] = sums[(2 + q) * k + i]
    for c in range(k):
        out[c], out[k + c] = sums[c], sums[k + c]
        for i in range(q):
            effect, pull = state[2 * k + c * q + i], sums[2 * k + c * q + i]
            more = 0.0
            for j in range(q):
                more += sums[(2 + q) * k + (c * q + i) * q + j] * state[2 * k + c * q + j]
            out[2 * k + c * q + i] = pull + more
            out[k + c] += effect * (2.0 * pull + more)


@plain
def matched(begins, sums, about, floor, shape, state, spare, room):
    """The M-step: parameters from sums about the effects of another state; the component that broke, or -1."""
    if begins != 0:
        begin(shape[3], shape[0], shape[4], state)
        return -1
    return update(shape[3], sums, about, floor, shape[0], shape[4], state, room)


def calls() -> tuple[int, int]:
    """Addresses of the E-step and of the M-step."""
    return address(expected, EXPECT), address(matched, MATCH)
