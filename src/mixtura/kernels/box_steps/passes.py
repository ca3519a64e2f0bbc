"""What is known of rows in boxes under each component, compiled; see `known_in_boxes`.

Rows are those of one kind, the same coordinates recorded, between limits, or free. Boxes of several coordinates are
worked out a panel at a time, each lane a row and a component: narrow ones with others of their component that take as
many nodes, the rest as they come.
"""

import numpy as np
from llvmlite import ir

from ..native.machine import called
from ..native.panels import WIDTH, beyond
from ..native.program import plain
from ..native.values import INT, NUMBERS, VOID, WHOLE
from ..small_steps.calls import Array, pointers
from .conditioning import Job, about, conditioned, settle
from .lanes import LANE, STATE, Lanes, flush, put_narrow, put_wide
from .narrow import MOST_NODES, STRETCH, constants
from .normal_law import tables
from .shape import CENTRE, ROOM, SHAPE, WITHIN, counts_of, level_at, shape_of

__all__ = ["MOST_INSIDE", "known_in_boxes"]

MOST_INSIDE = 3
"""Coordinates between limits that a row may have."""


@plain
def known(low, high, index, begin, end, mean, covariance, order, sizes, given, scratch, log_prob, shift, second):
    """What is known of the rows [begin, end) of one kind; see `known_in_boxes`."""
    rows, components, features, points, inside, alike = sizes[0], sizes[1], sizes[2], sizes[3], sizes[4], sizes[5]
    job = Job(
        low, high, mean, covariance, order, given, log_prob, shift, second, rows, components, features, points, inside
    )
    matrices = beyond(scratch, WIDTH * (LANE + features) * 2 + 2 * STATE)
    levels = beyond(matrices, components * features * features)
    constant = beyond(levels, end - begin)
    room = beyond(constant, components)
    shape = beyond(room, ROOM + 4 * features)
    shared = beyond(shape, 2 * SHAPE)
    powers = beyond(shared, MOST_NODES * MOST_NODES * MOST_NODES)
    beside = beyond(scratch, WIDTH * (LANE + features))
    state = beyond(beside, WIDTH * (LANE + features))
    plain_shape = beyond(shape, SHAPE)
    for i in range(3):
        plain_shape[4 * i] = 1.0
    wide = Lanes(scratch, state, plain_shape, shared, 0, powers)
    close = beside, beyond(state, STATE), shape, shared
    for k in range(components):
        component(job, index, begin, end, k, alike, matrices, levels, constant, room, wide, close)
    flush(job, wide, matrices, room)


@plain
def component(job, index, begin, end, k, alike, matrices, levels, constant, room, wide, close):
    """The rows under one component."""
    matrix, shape = beyond(matrices, k * job.features * job.features), close[2]
    level = conditioned(job, k, matrix)
    size = shape_of(job, matrix, index[begin], shape)
    together = alike == 1 and job.inside > 1
    most = 0
    for i in range(begin, end):
        row = index[i]
        length = about(job, k, row, matrix, room, beyond(room, job.features))
        nodes = level_at(job, matrix, shape, room) if together else 0
        levels[i - begin] = nodes
        if job.inside == 0:
            settle(job, k, row, matrix, room, room, level + length, room)
        elif nodes == 0:
            put_wide(job, wide, k, row, level + length, matrix, room)
            if wide.state[0] == WIDTH:
                flush(job, wide, matrices, room)
        most = nodes if nodes > most else most
    for nodes in range(6, most + 1, 2):
        lanes = Lanes(close[0], close[1], close[2], close[3], nodes, wide.powers)
        narrow_ones(job, index, begin, end, k, level + size, matrices, levels, room, lanes)


@plain
def narrow_ones(job, index, begin, end, k, level, matrices, levels, room, lanes):
    """The rows whose boxes take as many nodes."""
    matrix, at, made = beyond(matrices, k * job.features * job.features), beyond(room, job.features + CENTRE), 0
    for i in range(begin, end):
        if levels[i - begin] == lanes.nodes:
            if made == 0:
                constants(beyond(lanes.shape, WITHIN), counts_of(job, lanes.nodes), job.given, lanes.shared)
                made = 1
            row = index[i]
            length = about(job, k, row, matrix, room, beyond(room, job.features))
            level_at(job, matrix, lanes.shape, room)
            for c in range(3):
                length -= 0.5 * at[c] * at[c]
            put_narrow(job, lanes, k, row, level + length, room)
            if lanes.state[0] == WIDTH:
                flush(job, lanes, matrices, room)
    flush(job, lanes, matrices, room)


_F, _W = NUMBERS, WHOLE
_KNOWN = ir.FunctionType(VOID, [_F, _F, _W, INT, INT, _F, _F, _W, _W, _F, _F, _F, _F, _F])


def known_in_boxes(
    limits: tuple[Array, Array],
    law: tuple[Array, Array],
    kind: tuple[Array, Array],
    index: Array,
    begin: int,
    end: int,
    out: tuple[Array, Array, Array],
) -> None:
    """Writes what is known of the rows [begin, end) of an index: log-density, and moments about the means.

    Arguments:
        limits: Lower and upper limits (N, D), equal where a value was recorded.
        law: Means (K, D) and covariances (K, D, D).
        kind: The coordinates in order, recorded, between limits and free; and N, K, D, how many are recorded and how
            many between limits, and whether boxes are all of one size.
        index: Which rows are of that kind.
        begin: The first of them.
        end: The one after the last.
        out: (N, K), (K, N, D) and (K, N, D, D).
    """
    _, components, features, *_ = kind[1].tolist()
    counts = (
        2 * (WIDTH * (LANE + features) + STATE),
        components * (features * features + 1) + end - begin,
        ROOM + 4 * features + 2 * SHAPE,
        MOST_NODES**3 + 3 * STRETCH,
    )
    scratch = np.zeros(sum(counts))
    low, high, at, mean, covariance, order, sizes, given, room, *found = pointers(
        *limits, index, *law, *kind, tables(), scratch, *out
    )
    called(known, _KNOWN)(low, high, at, begin, end, mean, covariance, order, sizes, given, room, *found)
