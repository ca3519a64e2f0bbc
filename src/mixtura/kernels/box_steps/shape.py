"""Boxes of one size beside the scales of a component: what they are in its units, and how many nodes they need.

Coordinates between limits stand at the end of three; those before them are not there.
"""

import math

from ..native.panels import beyond
from ..native.program import plain
from .narrow import level_of

__all__ = ["CENTRE", "ENDS", "ROOM", "SHAPE", "SPREAD", "WITHIN", "counts_of", "level_at", "shape_of"]

WITHIN, _HALF = 9, 18
"""Where, in a shape, S'S stands, and half sides of the box."""

SHAPE = 21
"""Numbers of a shape; S comes first."""

ENDS, CENTRE, SPREAD = 0, 6, 12
"""Where, in the room for a row and behind its w, its limits stand; where its box is, and slopes; a covariance."""

ROOM = 21
"""Numbers of that room, beside four for each feature."""

_HALF_LOG_TWO_PI = 0.5 * math.log(2 * math.pi)


@plain
def shape_of(job, matrix, first, shape):
    """Writes the shape of boxes of the size of a row's; returns the logarithm of the constant of their mass."""
    blank, features, size = 3 - job.inside, job.features, 0.0
    for i in range(SHAPE):
        shape[i] = 0.0
    for i in range(job.inside):
        d, own = first * features + job.order[job.points + i], (job.points + i) * features + job.points
        half = 0.5 * (job.high[d] - job.low[d])
        shape[_HALF + blank + i] = half
        size += math.log(half / matrix[own + i]) - _HALF_LOG_TWO_PI
        for j in range(i + 1):
            value = 1.0 if i == j else 0.0
            for c in range(j, i):
                value -= matrix[own + c] * shape[(blank + c) * 3 + blank + j]
            shape[(blank + i) * 3 + blank + j] = value / matrix[own + i]
    in_sides(shape, blank)
    return size


@plain
def in_sides(shape, blank):
    """The inverse of the factor becomes S, and leaves S'S."""
    for j in range(blank, 3):
        for c in range(blank, 3):
            shape[c * 3 + j] *= shape[_HALF + j]
    for i in range(9):
        for c in range(3):
            shape[WITHIN + i] += shape[c * 3 + i // 3] * shape[c * 3 + i % 3]


@plain
def level_at(job, matrix, shape, room):
    """Writes where a row's box is, and slopes; returns how many nodes serve it, none where too many would."""
    blank, features, at = 3 - job.inside, job.features, beyond(room, job.features)
    for i in range(3):
        at[CENTRE + i] = 0.0
    for i in range(job.inside):
        own, value = (job.points + i) * features + job.points, 0.5 * (at[ENDS + i] + at[ENDS + 3 + i])
        for c in range(i):
            value -= matrix[own + c] * at[CENTRE + blank + c]
        at[CENTRE + blank + i] = value / matrix[own + i]
    nodes = 1
    for j in range(3):
        slope, crossing, bend = 0.0, 0.0, math.sqrt(shape[WITHIN + 4 * j])
        for c in range(3):
            slope += shape[c * 3 + j] * at[CENTRE + c]
            crossing += abs(shape[WITHIN + 3 * j + c]) if c != j else 0.0
        at[CENTRE + 3 + j] = slope
        needed = level_of(bend, abs(slope) + crossing)
        nodes = 0 if nodes == 0 or needed == 0 else needed if needed > nodes else nodes
    return nodes


@plain
def counts_of(job, nodes):
    """Nodes of each of three coordinates."""
    return (nodes if job.inside > 2 else 1), (nodes if job.inside > 1 else 1), nodes
