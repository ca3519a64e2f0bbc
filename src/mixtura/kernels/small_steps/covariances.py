r"""The M-step of covariances that share a volume, a shape or an orientation, for one start of a small table.

These are the steps of `components.covariance.shared`: with :math:`C_k` the covariance of each component's rows,

.. math:: C_k = Q_k T_k Q_k^\top, \qquad \Sigma_k = Q_k S_k Q_k^\top,

where the axes Q are those of :math:`C_k` alone (EEV, VEV), or axes in common (EVE, VVE), or there is nothing to turn;
and :math:`S_k` is :math:`T_k` with its volume (EV.), its shape (VE.) or both (EEV) pooled over components.

Matrices lie flat in one room, one behind the other: T or S of each component, a spare one, Q of each component (first
where it is common), another spare one; then a number for each component.
"""

import math

from ..native.program import plain

__all__ = ["EEV", "EVE", "EVI", "EVV", "VEE", "VEI", "VEV", "VVE", "covariances", "covariances_room"]

VEI, EVI = 4, 5
VEE, EVE, VVE, EEV, VEV, EVV = range(8, 14)

_STEPS = 2  # towards a minimum without a formula, as many as the structures take
_SWEEPS = 30  # over one matrix at most; each squares what is left beside the diagonal
_PRECISE = 1e-9
_ROUNDING = 1e-16
_ALONE, _FREE, _EQUAL = range(3)  # how matrices are weighed that turn together


@plain
def covariances_room(components, features):
    """Numbers of scratch that `covariances` takes."""
    return 2 * (components + 1) * features * features + components


@plain
def covariances(code, degrees, moment, previous, first, components, features, room):
    """Covariances of rows become those of a structure, sought from previous ones; all NaN where there are none.

    Returns 0 there, and -1 where there are some.

    Arguments:
        code: The structure; see `codes`.
        degrees: The divisors n, (K,).
        moment: The matrices C, (K D D), symmetric, changed in place.
        previous: Where the covariances were before, (K D D) from ``first`` on.
        first: See ``previous``.
        components: K.
        features: D.
        room: Scratch; see `covariances_room`.
    """
    load(code, moment, previous, first, components, features, room)
    own, common = code == EEV or code == VEV, code == EVE or code == VVE
    for stage in range(components if own else 2 if common else 0):
        lead = stage if own else 0 if stage else components
        rule = _ALONE if own or stage == 0 else _EQUAL if code == EVE else _FREE
        moved, count = (stage, 1) if own else (0, components + 1)
        turn(rule, degrees, room, lead, moved, count, components, features)
    if code == EVI or code == EVE or code == EVV:
        share_volume(code, degrees, room, components, features)
    elif code != VVE:
        share_shape(code, degrees, room, previous, first, components, features)
    return unload(code, degrees, moment, components, features, room)


@plain
def load(code, moment, previous, first, components, features, room):
    """T becomes the moments, the spare one the sum of previous covariances by their size, Q the identity."""
    square = features * features
    for k in range(components):
        at, size = first + k * square, 0.0
        for e in range(0, square, features + 1):
            size += previous[at + e]
        for e in range(square):
            beside = e % (features + 1) != 0
            room[k * square + e] = 0.0 if beside and code < VEE else moment[k * square + e]
            room[components * square + e] = previous[at + e] / size + (room[components * square + e] if k else 0.0)
            room[(components + 1 + k) * square + e] = 0.0 if beside else 1.0


@plain
def turn(rule, degrees, room, lead, moved, count, components, features):
    """Turns matrices, and Q with them, towards the axes of those that lead, plane by plane; see `orientation`.

    One leads alone, and is diagonal in the end, in ascending order, by Jacobi's rotations; or all components do, for a
    few sweeps. Planes come in rounds without a common axis: a tournament in a circle.
    """
    players, largest = features + features % 2, 1.0
    leads, sweeps = (1, _SWEEPS) if rule == _ALONE else (components, _STEPS)
    while sweeps > 0 and largest > _PRECISE:
        sweeps, largest = sweeps - 1, 0.0
        for round in range(players - 1):
            weigh(rule, degrees, room, components, features)
            for i in range(players // 2):
                a = 1 + (i - 1 - round) % (players - 1) if i > 0 else 0
                b = 1 + (players - 2 - i - round) % (players - 1)
                p = a if a < b else b
                if a + b - p < features:
                    theta = angle(rule, room, lead, leads, p, a + b - p, components, features)
                    sine = rotate(theta, room, moved, count, components + 1 + moved, p, a + b - p, features)
                    largest = sine if sine > largest else largest


@plain
def weigh(rule, degrees, room, components, features):
    """The weight of each T in a round: its degrees, times its volume now where that is shared."""
    square = features * features
    for k in range(components):
        total = 0.0
        for e in range(0, square if rule == _EQUAL else 0, features + 1):
            total += math.log(room[k * square + e])
        room[2 * (components + 1) * square + k] = degrees[k] * math.exp(total / features)


@plain
def angle(rule, room, lead, leads, p, o, components, features):
    """How far to turn axes p and o; a matrix alone puts its smaller variance first."""
    square = features * features
    first, second, cross = 0.0, 0.0, 0.0
    for k in range(leads):
        t = (lead + k) * square + p * features
        one, other = room[t + p], room[t + (o - p) * features + o]
        pull = 1.0 if rule == _ALONE else room[2 * (components + 1) * square + k] * (1 / one - 1 / other)
        first += pull * one
        second += pull * other
        cross += pull * room[t + o]
    if rule == _ALONE and abs(cross) <= _ROUNDING * (abs(first) + abs(second)):
        cross = 0.0
    return 0.0 if cross == 0.0 and not second < first else 0.5 * math.atan2(-2 * cross, second - first)


@plain
def rotate(theta, room, moved, count, q, p, o, features):
    """Turns axes p and o, on both sides of matrices T and on one of Q; returns the size of the sine."""
    cosine, sine = math.cos(theta), math.sin(theta)
    for k in range(count + 1):
        t = (q if k == count else moved + k) * features * features
        for i in range(t, t + features * features, features):
            a, b = room[i + p], room[i + o]
            room[i + p], room[i + o] = cosine * a + sine * b, cosine * b - sine * a
        for i in range(t, t + (0 if k == count else features)):
            a, b = room[i + p * features], room[i + o * features]
            room[i + p * features], room[i + o * features] = cosine * a + sine * b, cosine * b - sine * a
    return abs(sine)


@plain
def invert(room, at, features):
    """A positive definite matrix becomes its inverse; returns the logarithm of its determinant."""
    logdet = 0.0
    for p in range(features):
        pivot = room[at + p * features + p]
        logdet += math.log(pivot)
        room[at + p * features + p] = 1.0
        for j in range(features):
            room[at + p * features + j] /= pivot
        for i in range(features):
            part = 0.0 if i == p else room[at + i * features + p]
            room[at + i * features + p] -= part
            for j in range(features):
                room[at + i * features + j] -= part * room[at + p * features + j]
    return logdet


@plain
def share_volume(code, degrees, room, components, features):
    """Matrices keep their shape and take the mean volume."""
    square = features * features
    spare, volumes = components * square, 2 * (components + 1) * square
    mean, total = 0.0, 0.0
    for k in range(components):
        for e in range(square):
            room[spare + e] = room[k * square + e] if code == EVV or e % (features + 1) == 0 else 0.0
        room[volumes + k] = math.exp(invert(room, spare, features) / features)
        mean += degrees[k] * room[volumes + k]
        total += degrees[k]
    for e in range(components * square):
        room[e] *= mean / total / room[volumes + e // square]


@plain
def share_shape(code, degrees, room, previous, first, components, features):
    """Matrices take a mean shape, and keep a volume each, in turn from the volumes before; or one volume (EEV)."""
    square, steps = features * features, 1 if code == EEV else _STEPS
    volumes = 2 * (components + 1) * square
    for k in range(components):
        at = first + k * square
        room[volumes + k] = 1.0 if code == EEV else 0.0
        for e in range(at, at if code == EEV else at + square, features + 1):
            room[volumes + k] += previous[e]
    for _ in range(steps):
        pool(degrees, room, components, square)
        if code != EEV:
            invert(room, components * square, features)
            for k in range(components):
                volume = 0.0
                for e in range(square):
                    volume += room[k * square + e] * room[components * square + e]
                room[volumes + k] = volume / features
    for e in range(components * square):
        room[e] = room[volumes + e // square] * room[(2 * components + 1) * square + e % square]


@plain
def pool(degrees, room, components, square):
    """The mean of matrices over their volumes becomes the spare ones."""
    volumes, total = 2 * (components + 1) * square, 0.0
    for k in range(components):
        total += degrees[k] / room[volumes + k]
    for e in range(square):
        value = 0.0
        for k in range(components):
            value += degrees[k] / room[volumes + k] / total * room[k * square + e]
        room[components * square + e] = room[(2 * components + 1) * square + e] = value


@plain
def unload(code, degrees, moment, components, features, room):
    """The covariances of S in the axes Q; NaN everywhere where a divisor is not positive or a number not finite."""
    square, sound = features * features, 0.0
    for k in range(components):
        q = (components + 1 + (0 if code == EVE or code == VVE else k)) * square
        sound += 0.0 if degrees[k] > 0.0 else math.nan
        for e in range(square):
            value = room[k * square + e]
            if code != VEE and code != EVV:
                value = 0.0
                for d in range(features):
                    side = room[q + e // features * features + d] * room[q + e % features * features + d]
                    value += side * room[k * square + d * (features + 1)]
            moment[k * square + e] = value
            sound += 0.0 * value
    for e in range(components * square):
        moment[e] += sound
    return -1 if sound == 0.0 else 0
