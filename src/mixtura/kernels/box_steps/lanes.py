"""Boxes in lanes: put there, worked out together when a panel is full, and taken out again."""

import math
from typing import NamedTuple

from ..native.panels import WIDTH, beyond, load_panel, store
from ..native.program import plain
from .conditioning import settle
from .in_turn import LIMITS, SUMS, in_turn
from .narrow import narrow
from .shape import CENTRE, ENDS, SPREAD, counts_of

__all__ = ["LANE", "STATE", "Lanes", "flush", "put_narrow", "put_wide"]

_OWNER = LIMITS + SUMS  # of a lane: component, row, logarithm, where its box is, w of recorded coordinates
_MIDDLE, _W = _OWNER + 3, _OWNER + 6
LANE = _W
"""Numbers of a lane, beside one for each feature."""

STATE = 3
"""What `Lanes.state` holds: how many there are, and how wide the widest of the first two coordinates is."""

_HALF_LOG_TWO_PI = 0.5 * math.log(2 * math.pi)
_REACH = 9.0  # scales beyond the nearest point of an interval that leave nothing of its probability


class Lanes(NamedTuple):
    """Boxes that are worked out together.

    Attributes:
        numbers: What `in_turn` or `narrow` reads and writes, and whose it is.
        state: See `STATE`.
        shape: What turns the coordinates of the sums into w; see `shape`.
        shared: Weights of nodes of narrow boxes.
        nodes: Nodes of each of their coordinates; none where boxes are worked out in turn.
        powers: Room for `narrow`.
    """

    numbers: int
    state: int
    shape: int
    shared: int
    nodes: int
    powers: int


@plain
def put(job, lanes, k, row, log_prob, room):
    """Says whose the next lane is; returns it."""
    lane = int(lanes.state[0])
    lanes.state[0] += 1
    mine = beyond(lanes.numbers, lane)
    mine[_OWNER * WIDTH], mine[(_OWNER + 1) * WIDTH], mine[(_OWNER + 2) * WIDTH] = k, row, log_prob
    for i in range(job.points):
        mine[(_W + i) * WIDTH] = room[i]
    return mine


@plain
def put_narrow(job, lanes, k, row, log_prob, room):
    """Puts a narrow box into the next lane: slopes, and where it is."""
    mine, at = put(job, lanes, k, row, log_prob, room), beyond(room, job.features)
    for i in range(3):
        mine[i * WIDTH], mine[(_MIDDLE + i) * WIDTH] = at[CENTRE + 3 + i], at[CENTRE + i]


@plain
def put_wide(job, lanes, k, row, log_prob, matrix, room):
    """Puts any box into the next lane: limits and factor in units of the factor's diagonal."""
    blank, features, points = 3 - job.inside, job.features, job.points
    log_prob -= (job.inside - 1) * _HALF_LOG_TWO_PI  # the last coordinate brings its own
    mine, at = put(job, lanes, k, row, log_prob, room), beyond(room, features + ENDS)
    for i in range(3):
        mine[2 * i * WIDTH], mine[(2 * i + 1) * WIDTH], mine[(6 + i) * WIDTH] = -1.0, 1.0, 0.0
    for i in range(job.inside):
        own, place = (points + i) * features + points, blank + i
        mine[2 * place * WIDTH], mine[(2 * place + 1) * WIDTH] = at[i] / matrix[own + i], at[3 + i] / matrix[own + i]
        for j in range(i):
            mine[(5 + place + blank + j) * WIDTH] = matrix[own + j] / matrix[own + i]
    note_spans(job, lanes.state, mine)


@plain
def note_spans(job, state, mine):
    """Keeps the widest spans of the first two coordinates, which bend where limits of later ones are near."""
    a, b, c = mine[6 * WIDTH], mine[7 * WIDTH], mine[8 * WIDTH]
    second = near(mine[2 * WIDTH], mine[3 * WIDTH], math.sqrt(1.0 + a * a))
    third = near(mine[4 * WIDTH], mine[5 * WIDTH], math.sqrt(1.0 + b * b + c * c))
    bends = second * a * a + third * (second * (b - c * a) * (b - c * a) + (1 - second) * b * b / (1.0 + c * c))
    first = spanned_by(mine[0], mine[WIDTH], True, math.sqrt(1.0 + bends))
    after = spanned_by(mine[2 * WIDTH], mine[3 * WIDTH], job.inside == 2, math.sqrt(1.0 + third * c * c))
    state[1] = first if first > state[1] else state[1]
    state[2] = after if after > state[2] else state[2]


@plain
def near(low, high, scale):
    """One where limits cut into a normal law about zero, as far as there is anything of it; zero where they do not."""
    return 1.0 if low > -_REACH * scale or high < _REACH * scale else 0.0


@plain
def spanned_by(low, high, known, bends):
    """Scales that what matters of an interval spans, and a half of the fall of the density's logarithm on either side.

    Arguments:
        low: The lower limit, in scales given the coordinates before.
        high: The upper limit.
        known: Whether the limits are these, or depend on coordinates before.
        bends: How many scales given all other coordinates with limits make one given those before.
    """
    near = 0.0
    if known:
        near = low if low > 0.0 else -high if high < 0.0 else 0.0
    width = high - low
    if known or width > 2 * _REACH:
        reach = math.sqrt(near * near + _REACH * _REACH)
        width = (high if high < reach else reach) - (low if low > -reach else -reach)
    if known:
        return bends * width + near * width / 4
    steep = 2.5 * width
    most = (_REACH * _REACH - width * width) / 8
    return bends * width + (steep if steep < most else most if most > 0.0 else 0.0)


@plain
def fill(lanes, used):
    """Lanes without a box take what the first one is given."""
    for i in range(LIMITS):
        for lane in range(used, WIDTH):
            lanes.numbers[i * WIDTH + lane] = lanes.numbers[i * WIDTH]


@plain
def rule(span, most):
    """Nodes that serve so many scales to about ten digits, and into how many pieces they are cut."""
    if span > 20.0:
        pieces = int(span / 60.0) + 1 if span < 60.0 * (most - 1) else most
        return (64 if span > 26.0 else 48), pieces
    if span > 7.0:
        return (40 if span > 14.0 else 28 if span > 11.0 else 24), 1
    return (16 if span > 3.0 else 10 if span > 1.5 else 8 if span > 0.5 else 6), 1


@plain
def flush(job, lanes, matrices, room):
    """Works out the boxes, writes what is known of their rows, and empties the lanes."""
    used, numbers = int(lanes.state[0]), lanes.numbers
    if used == 0:
        return 0
    fill(lanes, used)
    sums, level = beyond(numbers, LIMITS * WIDTH), (_OWNER + 2) * WIDTH
    if lanes.nodes > 0:
        narrow(numbers, counts_of(job, lanes.nodes), lanes.shared, job.given, lanes.powers, sums)
    else:
        most = 8 if job.inside == 2 else 3
        first = rule(lanes.state[1], most) if job.inside > 2 else (1, 1)
        top = in_turn(numbers, sums, first, rule(lanes.state[2], most) if job.inside > 1 else (1, 1), job.given)
        store(numbers, level, load_panel(numbers, level) + top)
    for lane in range(used):
        take(job, lanes, lane, matrices, room)
    for i in range(STATE):
        lanes.state[i] = 0.0
    return 0


@plain
def take(job, lanes, lane, matrices, room):
    """Writes what is known of the row of a lane."""
    mine, blank = beyond(lanes.numbers, lane), 3 - job.inside
    k, row = int(mine[_OWNER * WIDTH]), int(mine[(_OWNER + 1) * WIDTH])
    for i in range(job.points):
        room[i] = mine[(_W + i) * WIDTH]
    mass, spread = mine[LIMITS * WIDTH], beyond(room, job.features + SPREAD)
    for i in range(blank, 3):
        value = mine[(_MIDDLE + i) * WIDTH]
        for j in range(blank, 3):
            value += lanes.shape[i * 3 + j] * mine[(LIMITS + 1 + j) * WIDTH] / mass
        room[job.points + i - blank] = value
    turned(mine, mass, lanes.shape, blank, spread)
    log_prob = mine[(_OWNER + 2) * WIDTH] + math.log(mass)
    matrix = beyond(matrices, k * job.features * job.features)
    settle(job, k, row, matrix, room, spread, log_prob, beyond(room, job.features + SPREAD + 9))


@plain
def turned(mine, mass, shape, blank, spread):
    """Writes the covariance of w, (3, 3), from sums of its coordinates."""
    for i in range(blank, 3):
        for j in range(blank, i + 1):
            value = 0.0
            for a in range(blank, i + 1):
                for b in range(blank, j + 1):
                    value += shape[i * 3 + a] * shape[j * 3 + b] * shared_by(mine, mass, a, b)
            spread[(i - blank) * 3 + j - blank] = value
            spread[(j - blank) * 3 + i - blank] = value


@plain
def shared_by(mine, mass, a, b):
    """The covariance of two coordinates of the sums."""
    high, low = (a, b) if a > b else (b, a)
    both = mine[(LIMITS + 4 + high * (high + 1) // 2 + low) * WIDTH] / mass
    return both - mine[(LIMITS + 1 + a) * WIDTH] / mass * (mine[(LIMITS + 1 + b) * WIDTH] / mass)
