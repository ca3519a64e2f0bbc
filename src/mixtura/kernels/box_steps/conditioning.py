r"""Rows whose coordinates are recorded, known up to limits, or not known at all, under one component; all as numbers.

With the coordinates in that order and the covariance :math:`M M^\top`, x is :math:`\mu + M w`: recorded coordinates say
the first w at once, those between limits bound the next ones, and the rest is free. So what is known of a row is its
density there, and mean and covariance of w.
"""

import math
from typing import NamedTuple

from ..native.program import plain

__all__ = ["Job", "about", "conditioned", "settle"]

_HALF_LOG_TWO_PI = 0.5 * math.log(2 * math.pi)


class Job(NamedTuple):
    """What a pass reads and writes: pointers, and how many there are.

    Attributes:
        low: Lower limits (N, D), equal to the upper where a value was recorded.
        high: Upper limits.
        mean: Means (K, D).
        covariance: Covariances (K, D, D).
        order: Coordinates: recorded, between limits, free.
        given: See `normal_law.tables`.
        log_prob: Where log-densities go, (N, K).
        shift: Where means about the component's go, (K, N, D).
        second: Where second moments about it go, (K, N, D, D).
        rows: N.
        components: K.
        features: D.
        points: How many coordinates are recorded.
        inside: How many are between limits.
    """

    low: int
    high: int
    mean: int
    covariance: int
    order: int
    given: int
    log_prob: int
    shift: int
    second: int
    rows: int
    components: int
    features: int
    points: int
    inside: int


@plain
def conditioned(job, k, matrix):
    """Writes M, with the covariance that is left of the free coordinates; returns the constant of the density."""
    features, known = job.features, job.points + job.inside
    for i in range(features):
        at = (k * features + job.order[i]) * features
        for j in range(features):
            matrix[i * features + j] = job.covariance[at + job.order[j]]
    level = 0.0
    for c in range(known):
        pivot = math.sqrt(matrix[c * features + c])
        level += 0.0 / pivot  # none where rounding leaves no root
        if c < job.points:
            level -= math.log(pivot) + _HALF_LOG_TWO_PI
        matrix[c * features + c] = pivot
        for i in range(c + 1, features):
            matrix[i * features + c] /= pivot
            for j in range(c + 1, i + 1):
                matrix[i * features + j] -= matrix[i * features + c] * matrix[j * features + c]
    return level


@plain
def about(job, k, row, matrix, w, ends):
    """Writes w of recorded coordinates, and limits of the others about their means given these, three and three.

    Returns minus half the squared length of w.
    """
    features, points, length = job.features, job.points, 0.0
    at, own = row * features, k * features
    for i in range(points + job.inside):
        d = job.order[i]
        centre = job.mean[own + d]
        for j in range(i if i < points else points):
            centre += matrix[i * features + j] * w[j]
        if i < points:
            w[i] = (job.low[at + d] - centre) / matrix[i * features + i]
            length -= 0.5 * w[i] * w[i]
        else:
            ends[i - points] = job.low[at + d] - centre
            ends[3 + i - points] = job.high[at + d] - centre
    return length


@plain
def settle(job, k, row, matrix, w, spread, log_prob, room):
    """Writes what is known of a row from mean and covariance (3, 3) of the w that are not free."""
    features, known = job.features, job.points + job.inside
    job.log_prob[row * job.components + k] = log_prob
    at = (k * job.rows + row) * features
    for i in range(features):
        value = 0.0 if log_prob == log_prob else log_prob
        for j in range(i + 1 if i < known else known):
            value += matrix[i * features + j] * w[j]
        job.shift[at + job.order[i]] = value
    sides_of(job, matrix, spread, room)
    for i in range(features):
        for j in range(i + 1):
            value = matrix[i * features + j] if j >= known else 0.0
            for b in range(job.inside):
                if b <= j - job.points:
                    value += room[i * 3 + b] * matrix[j * features + job.points + b]
            value += job.shift[at + job.order[i]] * job.shift[at + job.order[j]]
            job.second[(at + job.order[i]) * features + job.order[j]] = value
            job.second[(at + job.order[j]) * features + job.order[i]] = value


@plain
def sides_of(job, matrix, spread, room):
    """Writes M times the covariance of w, (D, 3)."""
    for i in range(job.features):
        for b in range(job.inside):
            value = 0.0
            for c in range(job.inside):
                if c <= i - job.points:
                    value += matrix[i * job.features + job.points + c] * spread[b * 3 + c]
            room[i * 3 + b] = value
