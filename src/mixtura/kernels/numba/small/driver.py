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

from ..jit import plain
from ..vector import lanes
from .calls import expect_at, match_at

__all__ = ["COLLAPSED", "CONVERGED", "FELL", "NOT_FINITE", "RUNNING", "WIDTH", "advance"]

WIDTH = lanes(8)[0]
RUNNING, CONVERGED, COLLAPSED, NOT_FINITE, FELL = range(5)


@plain
def copy(source, target):
    """As many numbers as the target has."""
    for i in range(target.size):
        target[i] = source[i]


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
    about: Any  # where it was when the sums were made
    origin: Any  # zeros
    sums: Any  # of the last E-step
    held: Any  # those from which the update is made if an extrapolation fails
    ahead: Any
    one: Any  # sums in a row, about the origin
    two: Any
    three: Any
    measure: Any  # their units
    lanes: Any
    joint: Any
    spare: Any
    more: Any
    pace: Any  # the longest step allowed, the last step, and the longest that there was reason for of late


_LONGEST, _STEP, _FAR = range(3)
_ZERO = np.int64(0)  # a number like others: for a literal zero numba would compile what it is given to anew


@plain
def furnished(shape, numbers, size, spare):
    """Scratch for starts of so many parameters, sums, and what their steps take."""
    return Room(
        np.empty(numbers), np.empty(numbers), np.empty(numbers), np.empty(numbers), np.zeros(numbers),
        np.empty(size), np.empty(size), np.empty(size), np.empty(size), np.empty(size), np.empty(size), np.empty(size),
        np.empty(size * shape[2]), np.empty(shape[0] * shape[2]), np.empty(spare[0]), np.empty(spare[1]), np.empty(3),
    )  # fmt: skip


@plain
def judged(objective, trace, entries, precision, components, state):
    """What an objective says of a start: that it is not finite, fell, or is to be noted.

    Its terms, which may cancel, are as large as the constants of log joints, which come after the log weights.
    """
    if not math.isfinite(objective):
        return NOT_FINITE
    size = max(1.0, abs(objective))
    for k in range(components, 2 * components):
        size = max(size, abs(state[k]))
    return FELL if entries > 0 and objective < trace[entries - 1] - 100 * precision * size else RUNNING


@plain
def noted(objective, trace, entries, guess, room):
    """Notes an objective and where it is; a guess that was as long as allowed allows longer ones."""
    trace[entries] = objective
    copy(room.state, room.good)
    if guess and room.pace[_STEP] == room.pace[_LONGEST]:
        room.pace[_LONGEST] *= 4


@plain
def held_back(room):
    """Back to where a guess was made from, and to the sums of which the plain update is made."""
    room.pace[_LONGEST] = max(2.0, room.pace[_STEP] / 4)
    copy(room.held, room.sums)
    copy(room.two, room.one)
    copy(room.good, room.state)


@plain
def guessed(known, match, floor, shape, room):
    """Notes the sums of a plain update, the known-th in a row; of three it tries what lies far ahead.

    Returns how many sums in a row there are then, and whether there is a guess to be tried.
    """
    if known < 2:
        copy(room.three, room.one if known == 0 else room.two)
        return known + 1, False
    pace = room.pace
    pace[_STEP], far = extrapolate(room.one, room.two, room.three, room.measure, pace[_LONGEST], room.ahead)
    pace[_FAR] = max(far, 0.85 * pace[_FAR])
    copy(room.sums, room.held)
    copy(room.three, room.two)
    copy(room.state, room.tried)
    guess = pace[_STEP] > 1.01
    if guess:
        guess = match_at(match, room.ahead, room.origin, floor, shape, room.tried, room.spare, room.more) < 0
    copy(room.ahead if guess else room.three, room.one)
    if guess:
        copy(room.tried, room.state)
    return 1, guess


@plain
def read(rows, place, expect, shape, room):
    """The log-likelihood of the panels of a start; leaves the sums."""
    columns, weight = rows
    lanes, joint, spare, sums, plain = room.lanes, room.joint, room.spare, room.sums, room.three
    return expect_at(expect, columns, weight, place[0], place[1], room.state, shape, lanes, joint, spare, sums, plain)


@plain
def pursued(rows, place, total, base, floor, calls, shape, limits, trace, room):
    """Advances the start in the room; returns how it ended, how many objectives it has, and two particulars."""
    (expect, match, begin), (updates, tolerance, precision, accelerated) = calls, limits
    made, entries, known, guess = _ZERO, _ZERO, _ZERO, np.bool_(False)
    if match_at(begin, room.sums, room.about, room.origin, shape, room.state, room.spare, room.more) >= 0:
        return NOT_FINITE, 0, 0.0, 0.0
    broken = -1
    while broken < 0:
        objective = (read(rows, place, expect, shape, room) + base) / total
        made += 1
        rejected = guess and not objective >= trace[entries - 1]
        if rejected:
            held_back(room)
        else:
            ended = judged(objective, trace, entries, precision, shape[0], room.state)
            if ended != RUNNING:
                return ended, entries, 0.0, trace[entries - 1] - objective if entries else 0.0
            noted(objective, trace, entries, guess, room)
            entries += 1
            if settled(trace, entries - 1, room.pace[_FAR], tolerance, precision * max(1.0, abs(objective))):
                return CONVERGED, entries, 0.0, 0.0
            if made > updates:
                return RUNNING, entries, 0.0, 0.0
        copy(room.state, room.about)
        known, guess = guessed(known, match, floor, shape, room) if accelerated and not rejected else (1, False)
        if not guess:
            broken = match_at(match, room.sums, room.about, floor, shape, room.state, room.spare, room.more)
    return COLLAPSED, entries, float(broken), room.sums[broken]


@njit(error_model="numpy", nogil=True, cache=True)
def advance(
    rows, places, total, base, floor, measure, calls, shapes, spare, states, limits, traces, ends, notes, first, last
):
    """Advances the starts [first, last) until they end or have made so many updates.

    Arguments:
        rows: Rows in panels, and their weights, zero where there is no row.
        places: The first and the last panel of each start, exclusive, (S, 2).
        total: The weight of all rows of each start, (S,).
        base: What is to be added to the log-likelihood of each start, (S,).
        floor: The variance of each column below which a component has collapsed, by start, (S, D).
        measure: The unit of each sum, in which steps are measured, by start, (S, M).
        calls: Addresses of the E-step, of the M-step, and of what makes a state ready to be read.
        shapes: Components, columns, rows in a panel, and what else the steps ask for, by start, (S, C); the first two
            are those of all.
        spare: Numbers of scratch for the steps, two arrays.
        states: Parameters of the starts, (S, P), changed in place.
        limits: The largest number of updates, the gain still to come at which a start ends, the relative rounding of
            an objective, and whether to extrapolate.
        traces: Room for the objectives, (S, updates + 3).
        ends: How each start ended, and how many objectives it has, (S, 2).
        notes: Which component collapsed and its weight, or by how much the objective fell, (S, 2).
    """
    room = furnished(shapes[0], states.shape[1], measure.shape[1], spare)
    for s in range(first, last):
        copy(states[s], room.state)
        copy(states[s], room.good)
        copy(measure[s], room.measure)
        room.pace[_LONGEST], room.pace[_STEP], room.pace[_FAR] = 4.0, 1.0, 0.0
        ends[s, 0], ends[s, 1], notes[s, 0], notes[s, 1] = pursued(
            rows, places[s], total[s], base[s], floor[s], calls, shapes[s], limits, traces[s], room
        )
        copy(room.good, states[s])
