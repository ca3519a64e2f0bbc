r"""Many updates of many starts: expectation, update, extrapolation and the tests between them, one start after another.

Extrapolation is SQUAREM's (Varadhan and Roland, 2008) on the sums of the E-step. With :math:`u_0` the sums whose
M-step is where a pair of updates begins, and :math:`u_1, u_2` those of the two E-steps that follow,

.. math:: v = u_0 + 2 a r + a^2 w, \qquad r = u_1 - u_0,\ w = (u_2 - u_1) - r,\ a = |r| / |w|,

and the M-step of v is tried in the place of that of :math:`u_2`: sums of any family, and an M-step that always gives a
member. Where it lowers the objective, the update from :math:`u_2` is made after all, and the longest step that is tried
shrinks; so the objective never falls. See `mixtura.learning.loop.extrapolation`, which does the same in torch.
"""

import math
from typing import Any, NamedTuple

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


class Room(NamedTuple):
    """Scratch of one start: parameters, sums and panels."""

    state: Any  # where it is
    tried: Any  # where an extrapolation leads
    good: Any  # where its objective was last known
    sums: Any  # of the last E-step, about the means `about`
    held: Any  # those from which the update is made if an extrapolation fails
    ahead: Any
    one: Any  # sums in a row, about the origin
    two: Any
    three: Any
    measure: Any
    lanes: Any
    joint: Any
    residuals: Any
    matrices: Any
    shared: Any
    origin: Any
    about: Any
    pace: Any  # the longest step allowed, the last step, and the longest that there was reason for of late


_LONGEST, _STEP, _FAR = range(3)
_ZERO = np.int64(0)  # a number like others: for a literal zero numba would compile what it is given to anew


@plain
def furnished(shape, numbers, shared):
    """Scratch for starts of a shape and so many parameters."""
    components, features, _, width = shape
    size, square = size_of_sums(components, features), features * features
    return Room(
        np.empty(numbers), np.empty(numbers), np.empty(numbers),
        np.empty(size), np.empty(size), np.empty(size), np.empty(size), np.empty(size), np.empty(size), np.empty(size),
        np.empty(size * width), np.empty(components * width), np.empty(components * features * width),
        np.empty(components * square), shared,
        np.zeros(components * features), np.empty(components * features), np.empty(3),
    )  # fmt: skip


@plain
def expected(rows, begin, end, shape, room):
    """Log-likelihood of the panels [begin, end) under a start; leaves the sums by lane."""
    columns, weight = rows
    components, features, dense, width = shape
    t, joint, lanes = room.residuals, room.joint, room.lanes
    return expect(columns, weight, begin, end, room.state, components, features, dense, width, t, joint, lanes)


@plain
def matched(code, sums, reference, floor, shape, state, room):
    """The M-step: parameters from sums about a reference; the component that broke, or -1."""
    components, features, dense, _ = shape
    broken = update(code, sums, reference, components, features, state, room.matrices, room.shared)
    return broken if broken >= 0 else factorise(dense, components, features, state, floor)


@plain
def judged(objective, trace, entries, precision):
    """What an objective says of a start: that it is not finite, fell, or is to be noted."""
    if not math.isfinite(objective):
        return NOT_FINITE
    fell = entries > 0 and objective < trace[entries - 1] - 100 * precision * max(1.0, abs(objective))
    return FELL if fell else RUNNING


@plain
def noted(objective, trace, entries, guess, room):
    """Notes an objective and where it is; a guess that was as long as allowed allows longer ones."""
    trace[entries] = objective
    copy(room.state, 0, room.good)
    if guess and room.pace[_STEP] == room.pace[_LONGEST]:
        room.pace[_LONGEST] *= 4


@plain
def read(rejected, shape, room):
    """Makes ready the sums from which the next update is made: those of this E-step, or those held for a guess."""
    components, features, _, width = shape
    if rejected:
        room.pace[_LONGEST] = max(2.0, room.pace[_STEP] / 4)
        copy(room.held, 0, room.sums)
        copy(room.good, 2 * components, room.about)
        copy(room.three, 0, room.one)
    else:
        collect(room.lanes, components, features, width, room.sums)
        copy(room.state, 2 * components, room.about)
        about_origin(room.sums, room.about, components, features, room.three)


@plain
def guessed(known, code, floor, shape, room):
    """Notes the sums of a plain update, the known-th in a row; of three it tries what lies far ahead.

    Returns how many sums in a row there are then, and whether there is a guess to be tried.
    """
    if known < 2:
        copy(room.three, 0, room.one if known == 0 else room.two)
        return known + 1, False
    pace = room.pace
    pace[_STEP], far = extrapolate(room.one, room.two, room.three, room.measure, pace[_LONGEST], room.ahead)
    pace[_FAR] = max(far, 0.85 * pace[_FAR])
    copy(room.sums, 0, room.held)
    copy(room.state, 0, room.tried)
    guess = pace[_STEP] > 1.01 and matched(code, room.ahead, room.origin, floor, shape, room.tried, room) < 0
    copy(room.ahead if guess else room.three, 0, room.one)
    if guess:
        copy(room.tried, 0, room.state)
    return 1, guess


@plain
def pursued(rows, place, total, floor, code, shape, limits, trace, room):
    """Advances the start in the room; returns how it ended, how many objectives it has, and two particulars."""
    updates, tolerance, precision, accelerated = limits
    made, entries, known, guess = _ZERO, _ZERO, _ZERO, np.bool_(False)
    copy(room.state, 0, room.good)
    if factorise(shape[2], shape[0], shape[1], room.state, room.origin) >= 0:
        return NOT_FINITE, 0, 0.0, 0.0
    broken = -1
    while broken < 0:
        objective = expected(rows, place[0], place[1], shape, room) / total
        made += 1
        rejected = guess and not objective >= trace[entries - 1]
        if not rejected:
            ended = judged(objective, trace, entries, precision)
            if ended != RUNNING:
                return ended, entries, 0.0, trace[entries - 1] - objective if entries else 0.0
            noted(objective, trace, entries, guess, room)
            entries += 1
            if settled(trace, entries - 1, room.pace[_FAR], tolerance, precision * max(1.0, abs(objective))):
                return CONVERGED, entries, 0.0, 0.0
            if made > updates:
                return RUNNING, entries, 0.0, 0.0
        read(rejected, shape, room)
        known, guess = guessed(known, code, floor, shape, room) if accelerated and not rejected else (1, False)
        broken = -1 if guess else matched(code, room.sums, room.about, floor, shape, room.state, room)
    return COLLAPSED, entries, float(broken), room.sums[broken]


@njit(error_model="numpy", nogil=True, cache=True)
def advance(rows, places, total, floor, unit, code, shared, shape, states, limits, traces, ends, notes, first, last):
    """Advances the starts [first, last) until they end or have made so many updates.

    Arguments:
        rows: Rows in panels, and their weights, zero where there is no row.
        places: The first and the last panel of each start, exclusive, (S, 2).
        total: The weight of all rows of each start, (S,).
        floor: The variance of each column below which a component has collapsed, by start, (S, D).
        unit: The scale of each column, in which steps are measured, (S, D).
        code: What the covariances look like; see `codes`.
        shared: Scratch of steps of a shared volume, shape or orientation; none for the other structures.
        shape: Components, features, whether covariances are matrices, rows in a panel.
        states: Parameters of the starts, (S, P), changed in place.
        limits: The largest number of updates, the gain still to come at which a start ends, the relative rounding of
            an objective, and whether to extrapolate.
        traces: Room for the objectives, (S, updates + 3).
        ends: How each start ended, and how many objectives it has, (S, 2).
        notes: Which component collapsed and its weight, or by how much the objective fell, (S, 2).
    """
    room = furnished(shape, states.shape[1], shared)
    for s in range(first, last):
        copy(states[s], 0, room.state)
        units(unit[s], shape[0], shape[1], room.measure)
        room.pace[_LONGEST], room.pace[_STEP], room.pace[_FAR] = 4.0, 1.0, 0.0
        ends[s, 0], ends[s, 1], notes[s, 0], notes[s, 1] = pursued(
            rows, places[s], total[s], floor[s], code, shape, limits, traces[s], room
        )
        copy(room.good, 0, states[s])
