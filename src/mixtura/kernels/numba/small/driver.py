r"""Many updates of many starts: expectation, update, extrapolation and the tests between them, one start after another.

Extrapolation is SQUAREM's (Varadhan and Roland, 2008) on the sums of the E-step. With :math:`u_0` the sums whose
M-step is where a pair of updates begins, and :math:`u_1, u_2` those of the two E-steps that follow,

.. math:: v = u_0 + 2 a r + a^2 w, \qquad r = u_1 - u_0,\ w = (u_2 - u_1) - r,\ a = |r| / |w|,

and the M-step of v is tried in the place of that of :math:`u_2`: sums of any family, and an M-step that always gives a
member. Where it lowers the objective, the update from :math:`u_2` is made after all, and the longest step that is tried
shrinks; so the objective never falls. See `mixtura.learning.loop.extrapolation`, which does the same in torch.
"""

import math

import numpy as np
from numba import njit

from ..vector import lanes
from .gaussian_step import collect, factorise, size_of_sums, update
from .gaussian_sums import expect

__all__ = ["COLLAPSED", "CONVERGED", "FELL", "NOT_FINITE", "RUNNING", "WIDTH", "advance"]

WIDTH = lanes(8)[0]
RUNNING, CONVERGED, COLLAPSED, NOT_FINITE, FELL = range(5)

plain = njit(error_model="numpy", no_cpython_wrapper=True, no_cfunc_wrapper=True)


@plain
def copy(source, begin, target):
    """As many numbers as the target has, from a place on."""
    for i in range(target.size):
        target[i] = source[begin + i]


@plain
def about_origin(sums, mean, components, features, out):
    """Sums about the means as sums about the origin, by the row's weight in all."""
    square = features * features
    for k in range(components):
        n, f, s = sums[k], components + k * features, components * (1 + features) + k * square
        out[k] = n
        for i in range(features):
            mi, fi = mean[k * features + i], sums[f + i]
            out[f + i] = fi + n * mi
            for j in range(features):
                mj = mean[k * features + j]
                out[s + i * features + j] = sums[s + i * features + j] + fi * mj + mi * sums[f + j] + n * mi * mj


@plain
def extrapolate(first, second, third, unit, longest, out):
    """Sums far ahead of three in a row; how far, as a multiple of a step, and how far it is to where they would end.

    Lengths are measured with each sum in a unit of its own, so that a change of units changes nothing.
    """
    r2, w2 = 0.0, 0.0
    for i in range(out.size):
        r = (second[i] - first[i]) / unit[i]
        w = (third[i] - second[i]) / unit[i] - r
        r2 += r * r
        w2 += w * w
    far = math.sqrt(r2 / w2) if w2 > 0.0 else 1.0
    a = max(1.0, min(far, longest))
    for i in range(out.size):
        r = second[i] - first[i]
        out[i] = first[i] + 2 * a * r + a * a * (third[i] - second[i] - r)
    return a, far


@plain
def units(unit, components, features, out):
    """The unit of each sum, from those of the columns."""
    square = features * features
    for k in range(components):
        f, s = components + k * features, components * (1 + features) + k * square
        out[k] = 1.0
        for i in range(features):
            out[f + i] = unit[i]
            for j in range(features):
                out[s + i * features + j] = unit[i] * unit[j]


@plain
def settled(trace, last, slow, tolerance, rounding):
    """Whether the gain still to come is below the tolerance or lost in rounding; as `loop.traces` has it."""
    if last < 2 or not tolerance > 0.0:
        return False
    gain, before = trace[last] - trace[last - 1], trace[last - 1] - trace[last - 2]
    if gain <= rounding:
        return True
    if slow > 0.0:
        return max(gain, before) * slow < tolerance
    rate = gain / before if before > 0.0 else 1.0
    return rate < 1.0 and gain < 10 * tolerance and gain * rate / (1 - rate) < tolerance


@plain
def expected(rows, begin, end, state, shape, room):
    """Log-likelihood of the panels [begin, end) under a start; leaves the sums by lane."""
    columns, weight = rows
    components, features, dense, width = shape
    t, joint, lanes = room
    return expect(columns, weight, begin, end, state, components, features, dense, width, t, joint, lanes)


@plain
def matched(code, sums, reference, floor, shape, state, matrices):
    """The M-step: parameters from sums about a reference; the component that broke, or -1."""
    components, features, dense, _ = shape
    broken = update(code, sums, reference, components, features, state, matrices)
    return broken if broken >= 0 else factorise(dense, components, features, state, floor)


@njit(error_model="numpy", nogil=True, cache=True)
def advance(rows, places, total, floor, unit, code, shape, states, limits, traces, ends, notes, first, last):
    """Advances the starts [first, last) until they end or have made so many updates.

    Arguments:
        rows: Rows in panels, and their weights, zero where there is no row.
        places: The first and the last panel of each start, exclusive, (S, 2).
        total: The weight of all rows of each start, (S,).
        floor: The variance of each column below which a component has collapsed, by start, (S, D).
        unit: The scale of each column, in which steps are measured, (S, D).
        code: What the covariances look like; see `codes`.
        shape: Components, features, whether covariances are matrices, rows in a panel.
        states: Parameters of the starts, (S, P), changed in place.
        limits: The largest number of updates, the gain still to come at which a start ends, the relative rounding of
            an objective, and whether to extrapolate.
        traces: Room for the objectives, (S, updates + 2).
        ends: How each start ended, and how many objectives it has, (S, 2).
        notes: Which component collapsed and its weight, or by how much the objective fell, (S, 2).
    """
    updates, tolerance, precision, accelerated = limits
    components, features, _, width = shape
    size = size_of_sums(components, features)
    state, tried, good = np.empty(states.shape[1]), np.empty(states.shape[1]), np.empty(states.shape[1])
    sums, held, ahead = np.empty(size), np.empty(size), np.empty(size)
    one, two, three, measure = np.empty(size), np.empty(size), np.empty(size), np.empty(size)
    lanes, joint = np.zeros(size * width), np.empty(components * width)
    room = np.empty(components * features * width), joint, lanes
    matrices = np.empty(components * features * features)
    origin, about = np.zeros(components * features), np.empty(components * features)
    means = 2 * components
    for s in range(first, last):
        copy(states[s], 0, state)
        units(unit[s], components, features, measure)
        trace, ended, made, entries = traces[s], RUNNING, 0, 0
        known, longest, slow, a, far, guess = 0, 4.0, 0.0, 1.0, 1.0, False
        broken = factorise(shape[2], components, features, state, floor[s])
        copy(state, 0, good)
        while broken < 0:
            objective = expected(rows, places[s, 0], places[s, 1], state, shape, room) / total[s]
            made += 1
            rejected = guess and not objective >= trace[entries - 1]
            if rejected:
                longest = max(2.0, a / 4)
                copy(held, 0, sums)
                copy(good, means, about)
            else:
                rounding = precision * max(1.0, abs(objective))
                if not math.isfinite(objective):
                    ended = NOT_FINITE
                    break
                if entries > 0 and objective < trace[entries - 1] - 100 * rounding:
                    ended = FELL
                    notes[s, 1] = trace[entries - 1] - objective
                    break
                trace[entries] = objective
                entries += 1
                copy(state, 0, good)
                longest = 4 * longest if guess and a == longest else longest
                if settled(trace, entries - 1, slow, tolerance, rounding):
                    ended = CONVERGED
                    break
                if made > updates:
                    break
                collect(lanes, components, features, width, sums)
                copy(state, means, about)
            guess = False
            if accelerated and not rejected:
                about_origin(sums, about, components, features, three)
                known += 1
                if known == 3:
                    a, far = extrapolate(one, two, three, measure, longest, ahead)
                    slow = max(far, 0.7 * slow)
                    if a > 1.01:
                        copy(state, 0, tried)
                        guess = matched(code, ahead, origin, floor[s], shape, tried, matrices) < 0
                    copy(sums, 0, held)
                    known = 1
                    copy(ahead if guess else three, 0, one)
                elif known == 2:
                    copy(three, 0, two)
                else:
                    copy(three, 0, one)
            elif rejected:
                copy(three, 0, one)
            if guess:
                copy(tried, 0, state)
            else:
                broken = matched(code, sums, about, floor[s], shape, state, matrices)
        if broken >= 0:
            ended = COLLAPSED
            notes[s, 0] = broken
            notes[s, 1] = sums[broken]
        copy(good, 0, states[s])
        ends[s, 0], ends[s, 1] = ended, entries
