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
from llvmlite import ir

from ..native.machine import called
from ..native.panels import WIDTH, beyond
from ..native.program import plain
from ..native.values import INT, NUMBERS, VOID, WHOLE
from ..steps import End
from .ahead import copy, extrapolate, larger
from .calls import Array, expect_at, match_at, pointers, zeros
from .gains import no_gain_left

__all__ = ["COLLAPSED", "CONVERGED", "FELL", "HOPELESS", "NOT_FINITE", "RUNNING", "WIDTH", "advance"]

RUNNING, CONVERGED, COLLAPSED, NOT_FINITE, FELL, HOPELESS = map(int, End)


@plain
def settled(trace, last, pace, limits, tolerance):
    """Whether the gain still to come is below the tolerance or lost in rounding."""
    if last < 2 or not tolerance > 0.0:
        return False
    rounding = larger(pace[_NOISE], limits[_PRECISION] * larger(1.0, abs(trace[last])))
    return no_gain_left(trace, last, tolerance, rounding, limits[_ACCELERATED], pace[_FAR])


@plain
def hopeless(trace, last, sought):
    """Whether a start gains too slowly to come to the objective sought."""
    return last >= _FEWEST and trace[last] + _HOPE * (trace[last] - trace[last // 2]) < sought


class Room(NamedTuple):
    """Scratch of one start: where parameters, sums and panels are."""

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
    pace: Any  # the longest step allowed, the last, the longest that there was reason for of late, falls by rounding
    lanes: Any
    joint: Any
    spare: Any
    more: Any
    numbers: Any  # of parameters
    size: Any  # of sums


_GROWTH, _SLOWLY = 1.02, 1.001  # of a weight in an update, from which on a component grows, or one of less than a row
_LONGEST, _STEP, _FAR, _NOISE = range(4)
_NEARBY, _UNITS = 4, 16.0  # sums about those in question, and how many units in the last place away, as `loop.rounding`
_UPDATES, _TOLERANCE, _PRECISION, _ACCELERATED, _SOUGHT, _BOLD = range(6)
_UPDATE, _BEGIN, _CAREFULLY = range(3)  # what an M-step is asked for
_HOPE, _FEWEST = 4.0, 5  # times the gain of the latter half of its updates, that a start may yet gain; from so many on
_DOUBT = 8.0  # times the gain still to come, as it is judged, that a start may yet gain


def size_of_room(numbers, size, shape, spare):
    """Numbers of scratch for starts of so many parameters, sums, and what their steps take."""
    return 5 * numbers + 6 * size + 4 + (size + shape[0]) * shape[2] + sum(spare)


@plain
def furnished(scratch, numbers, size, components, width, spare):
    """Scratch, zero where nothing is written, by what it is for; panels come first, where vectors are read fast."""
    joint = beyond(scratch, size * width)
    mine = beyond(joint, components * width)
    more = beyond(mine, spare[0])
    state = beyond(more, spare[1])
    s = beyond(state, 5 * numbers)
    return Room(
        state, beyond(state, numbers), beyond(state, 2 * numbers), beyond(state, 3 * numbers),
        beyond(state, 4 * numbers), s, beyond(s, size), beyond(s, 2 * size), beyond(s, 3 * size),
        beyond(s, 4 * size), beyond(s, 5 * size), beyond(s, 6 * size), scratch, joint, mine, more, numbers, size,
    )  # fmt: skip


@plain
def growing(room, total, components):
    """Whether the next update makes some component much heavier: then small gains are those of a saddle."""
    for k in range(components):
        growth = _SLOWLY if room.sums[k] < 1.0 else _GROWTH
        if room.sums[k] > growth * total * math.exp(room.state[k]):
            return True
    return False


@plain
def judged(objective, trace, entries, precision, components, state):
    """What an objective says of a start: that it is not finite, fell, or is to be noted; and by how much it fell.

    Its terms, which may cancel, are as large as the constants of log joints, which come after the log weights.
    """
    fall = trace[entries - 1] - objective if entries > 0 else 0.0
    if not math.isfinite(objective):
        return NOT_FINITE, fall
    size = larger(1.0, abs(objective))
    for k in range(components, 2 * components):
        size = larger(size, abs(state[k]))
    return FELL if fall > 100 * precision * size else RUNNING, fall


@plain
def nudged(sums, count, turn, precision):
    """Moves every sum by up to some units in its last place, up or down, in another way at each turn."""
    for i in range(count):
        sums[i] *= 1.0 + _UNITS * precision * math.sin(1.0 + i + turn * count)


@plain
def seen(columns, weight, place, total, base, floor, calls, shape, precision, room):
    """How far the objective moves with the last digits of the sums of which a state is made; as `loop.rounding` has it.

    The sums are those where the objective was last known. Where the start is, and its sums, are as before afterwards.
    """
    least, most = math.inf, -math.inf
    copy(room.state, room.tried, room.numbers)
    where = place[0], place[1], room.state, shape, room.lanes, room.joint, room.spare, room.sums, room.three
    for turn in range(_NEARBY):
        copy(room.good, room.state, room.numbers)
        expect_at(calls[0], columns, weight, *where)
        nudged(room.sums, room.size, turn, precision)
        if match_at(calls[1], 0, room.sums, room.good, floor, shape, room.state, room.spare, room.more) < 0:
            found = (expect_at(calls[0], columns, weight, *where) + base) / total
            least, most = -larger(-least, -found), larger(most, found)
    copy(room.tried, room.state, room.numbers)
    expect_at(calls[0], columns, weight, *where)
    return most - least


@plain
def explained(fall, columns, weight, place, total, base, floor, calls, shape, precision, room):
    """Whether rounding explains a fall: measured where it is the largest so far, and noted."""
    if fall <= room.pace[_NOISE]:
        return True
    room.pace[_NOISE] = fall
    return fall <= 10 * seen(columns, weight, place, total, base, floor, calls, shape, precision, room)


@plain
def noted(objective, trace, entries, guess, room):
    """Notes an objective and where it is; a guess that was as long as allowed allows longer ones."""
    trace[entries] = objective
    copy(room.state, room.good, room.numbers)
    if guess and room.pace[_STEP] == room.pace[_LONGEST]:
        room.pace[_LONGEST] *= 4


@plain
def held_back(guess, known, room):
    """Back to where a guess, or a bold update, was made from, and to the sums of which a sure update is made."""
    if guess:
        room.pace[_LONGEST] = larger(2.0, room.pace[_STEP] / 4)
    copy(room.held, room.sums, room.size)
    if guess or known > 1:
        copy(room.two, room.one, room.size)
    copy(room.good, room.state, room.numbers)


@plain
def guessed(known, match, floor, measure, shape, room):
    """Notes the sums of a plain update, the known-th in a row; of three it tries what lies far ahead.

    Returns how many sums in a row there are then, and whether there is a guess to be tried.
    """
    if known < 2:
        copy(room.three, room.one if known == 0 else room.two, room.size)
        return known + 1, False
    pace = room.pace
    pace[_STEP], far = extrapolate(room.one, room.two, room.three, measure, pace[_LONGEST], room.ahead, room.size)
    pace[_FAR] = larger(larger(1.0, far), 0.85 * pace[_FAR])
    copy(room.sums, room.held, room.size)
    copy(room.three, room.two, room.size)
    guess = pace[_STEP] > 1.01
    if guess:
        copy(room.state, room.tried, room.numbers)
        guess = match_at(match, 0, room.ahead, room.origin, floor, shape, room.tried, room.spare, room.more) < 0
    copy(room.ahead if guess else room.three, room.one, room.size)
    if guess:
        copy(room.tried, room.state, room.numbers)
    return 1, guess


@plain
def arrived(trace, last, room, total, components, limits):
    """Whether a start has converged, or has no hope of what is sought."""
    if settled(trace, last, room.pace, limits, limits[_TOLERANCE]) and not growing(room, total, components):
        return CONVERGED
    if hopeless(trace, last, limits[_SOUGHT]):
        return HOPELESS
    short = last >= _FEWEST and settled(trace, last, room.pace, limits, (limits[_SOUGHT] - trace[last]) / _DOUBT)
    return HOPELESS if short and not growing(room, total, components) else RUNNING


@plain
def updated(match, carefully, floor, shape, room):
    """Goes where an update leads, and notes of which sums; returns the component that broke, or -1."""
    copy(room.sums, room.held, room.size)
    how = _CAREFULLY if carefully else _UPDATE
    return match_at(match, how, room.sums, room.about, floor, shape, room.state, room.spare, room.more)


@plain
def pursued(columns, weight, place, total, base, floor, measure, calls, shape, limits, trace, room):
    """Advances the start in the room; returns how it ended, how many objectives it has, and two particulars."""
    made, entries, known, guess, bold, broken = 0, 0, 0, False, False, -1
    about = columns, weight, place, total, base, floor, calls, shape, limits[_PRECISION], room
    if match_at(calls[1], _BEGIN, room.sums, room.about, room.origin, shape, room.state, room.spare, room.more) >= 0:
        return NOT_FINITE, 0, 0.0, 0.0
    while broken < 0:
        where = place[0], place[1], room.state, shape, room.lanes, room.joint, room.spare, room.sums, room.three
        objective = (expect_at(calls[0], columns, weight, *where) + base) / total
        made += 1
        rejected = (guess or bold) and not objective >= trace[entries - 1]
        if rejected:
            held_back(guess, known, room)
        else:
            ended, fall = judged(objective, trace, entries, limits[_PRECISION], shape[0], room.state)
            if ended == NOT_FINITE or (ended == FELL and not explained(fall, *about)):
                return ended, entries, 0.0, fall
            noted(objective, trace, entries, guess, room)
            entries += 1
            ended = arrived(trace, entries - 1, room, total, shape[0], limits)
            if ended != RUNNING or made > limits[_UPDATES]:
                return ended, entries, 0.0, 0.0
        copy(room.state, room.about, room.numbers)
        steady = rejected or not limits[_ACCELERATED]
        known, guess = (1, False) if steady else guessed(known, calls[1], floor, measure, shape, room)
        bold = limits[_BOLD] > 0.0 and not rejected
        broken = -1 if guess else updated(calls[1], limits[_BOLD] > 0.0 and rejected, floor, shape, room)
    return COLLAPSED, entries, float(broken), room.sums[broken]


@plain
def advanced(
    columns, weight, places, total, base, floor, measure, group, calls, shapes, limits, sizes, scratch, states, traces,
    ends, notes, first, last,
):  # fmt: skip
    """Advances the starts [first, last), all arrays given by where they are; see `advance`."""
    numbers, size = sizes[0], sizes[1]
    room = furnished(scratch, numbers, size, shapes[0], shapes[2], (sizes[2], sizes[6]))
    for s in range(first, last):
        state, g = beyond(states, s * numbers), group[s]
        copy(state, room.state, numbers)
        copy(state, room.good, numbers)
        room.pace[_LONGEST], room.pace[_STEP], room.pace[_FAR], room.pace[_NOISE] = 4.0, 1.0, 0.0, 0.0
        ends[2 * s], ends[2 * s + 1], notes[2 * s], notes[2 * s + 1] = pursued(
            columns, weight, beyond(places, 2 * g), total[g], base[g], beyond(floor, g * sizes[3]),
            beyond(measure, g * size), calls, beyond(shapes, s * sizes[5]), limits, beyond(traces, s * sizes[4]), room,
        )  # fmt: skip
        copy(room.good, state, numbers)


_F, _I = NUMBERS, WHOLE
_ADVANCED = ir.FunctionType(VOID, [_F, _F, _I, _F, _F, _F, _F, _I, _I, _I, _F, _I, _F, _F, _F, _I, _F, INT, INT])


def advance(
    rows: tuple[Array, Array],
    places: Array,
    total: Array,
    base: Array,
    floor: Array,
    measure: Array,
    group: Array,
    calls: tuple[int, ...],
    shapes: Array,
    spare: tuple[int, int],
    states: Array,
    limits: tuple[float, ...],
    traces: Array,
    ends: Array,
    notes: Array,
    first: int,
    last: int,
) -> None:
    """Advances the starts [first, last) until they end or have made so many updates.

    Arguments:
        rows: Rows in panels, and their weights, zero where there is no row.
        places: The first and the last panel of each group of rows, exclusive, (G, 2).
        total: The weight of all rows of each group, (G,).
        base: What is to be added to the log-likelihood of each group, (G,).
        floor: The variance of each column below which a component has collapsed, by group, (G, D).
        measure: What brings each sum to the unit in which steps are measured, by group, (G, M).
        group: The group of each start, (S,).
        calls: Addresses of the E-step and of the M-step.
        shapes: Components, columns, rows in a panel, and what else the steps ask for, by start, (S, C); the first two
            are those of all.
        spare: Numbers of scratch for the steps, two arrays.
        states: Parameters of the starts, (S, P), changed in place.
        limits: The largest number of updates, the gain still to come at which a start ends, the relative rounding of
            an objective, whether to extrapolate, the objective that a start must have hope of, and whether updates may
            lead too far: then those that lower the objective are made with care.
        traces: Room for the objectives, (S, updates + 3).
        ends: How each start ended, and how many objectives it has, (S, 2).
        notes: Which component collapsed and its weight, or by how much the objective fell, (S, 2).
    """
    numbers, size = states.shape[1], measure.shape[1]
    scratch = zeros(size_of_room(numbers, size, shapes[0], spare))
    sizes = np.array([numbers, size, spare[0], floor.shape[1], traces.shape[1], shapes.shape[1], spare[1]])
    given = places, total, base, floor, measure, group, np.array(calls), shapes, np.array(limits, float), sizes, scratch
    called(advanced, _ADVANCED)(*pointers(*rows, *given, states, traces, ends, notes), first, last)
