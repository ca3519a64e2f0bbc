r"""The M-step of one start of Student-t laws; what it does is said in `components.student`, and done here once more.

Sums N, U, f, S, of logarithms and of squares, and logarithms of degrees of freedom come one behind the other. With
:math:`C_k = (S_k - f_k f_k^\top / U_k) / N_k` and the expansion :math:`e = \nu U / (\nu N)`, summed over components
that share a volume, the matrices are what a structure makes of C, divided by e. Degrees of freedom take a step of
Newton's in their logarithm, or, where care is asked for, the step of EM.
"""

import math

from ..native.program import plain
from .codes import EEV, EVE, EVI, EVV, TIED_DIAGONAL, TIED_FULL, TIED_SPHERICAL
from .functions import digammas, gamma_shape, log_gamma_gap
from .gaussian_step import factorise, size_of_state, size_of_sums, structured

__all__ = ["FIXED", "OWN", "SHARED", "degrees_of", "ready", "update"]

OWN, SHARED, FIXED = range(3)
_LEAST, _MOST = 0.1, 1e4
_FAR = 20.0  # the size of a logarithm of degrees of freedom, which guesses may lead beyond


@plain
def degrees_of(components, features):
    """Where degrees of freedom stand in a state."""
    return size_of_state(components, features)


@plain
def ready(dense, components, features, state, floor):
    """Factors and constants from weights, matrices and degrees of freedom; the first component that broke, or -1."""
    broken, dof = factorise(dense, components, features, state, floor), degrees_of(components, features)
    for k in range(components):
        half = 0.5 * state[dof + k]
        state[components + k] += log_gamma_gap(half, 0.5 * features) - 0.5 * features * math.log(half)
        if broken < 0 and not math.isfinite(state[components + k]):
            broken = k
    return broken


@plain
def one_volume(code):
    """Whether all components have one volume."""
    tied = code == TIED_FULL or code == TIED_DIAGONAL or code == TIED_SPHERICAL
    return tied or code == EVI or code == EVE or code == EEV or code == EVV


@plain
def update(careful, shape, sums, about, state, covariances, room):
    """Weights, means, matrices and degrees of freedom from sums; the first component that is broken, or -1."""
    components, features, square = shape[0], shape[1], shape[1] * shape[1]
    matrices, dof = components * (2 + features + square), degrees_of(components, features)
    inner = components + size_of_sums(components, features)
    weight, pulled, volume = 0.0, 0.0, 0.0
    for k in range(components):
        old = sums[inner + 2 * components + k]
        old = -_FAR if old < -_FAR else _FAR if old > _FAR else old
        state[dof + k] = math.exp(old) if shape[6] != FIXED else state[dof + k]
        weight += sums[k]
        pulled += state[dof + k] * sums[components + k]
        volume += state[dof + k] * sums[k]
    for k in range(components):
        broken = not (sums[k] > 0.0 and sums[components + k] > 0.0 and math.isfinite(sums[k] + sums[components + k]))
        if broken or not centred(sums, about, k, components, features, state, covariances):
            return k
        state[k] = math.log(sums[k] / weight)
    structured(shape[3], shape[4], sums, covariances, components, features, state, matrices, room)
    together = one_volume(shape[3])
    for k in range(components):
        room[k] = pulled / volume if together else sums[components + k] / sums[k]
        for e in range(k * square, (k + 1) * square):
            state[matrices + e] = covariances[e] / room[k]
    if shape[6] != FIXED:
        freed(careful, shape[6], sums, inner, components, features, state, dof, room)
    return -1


@plain
def centred(sums, about, k, components, features, state, covariances):
    """The mean of a component, and what its matrix is made from; returns whether there are such."""
    f, s = 2 * components + k * features, components * (2 + features) + k * features * features
    means, share = 2 * components + k * features, 1.0 / sums[components + k]
    for i in range(features):
        shift = sums[f + i] * share
        state[means + i] = about[means + i] + shift
        if not math.isfinite(shift):
            return False
        for j in range(features):
            value = (sums[s + i * features + j] - shift * sums[f + j]) / sums[k]
            covariances[k * features * features + i * features + j] = value
    return True


@plain
def freed(careful, rule, sums, inner, components, features, state, dof, room):
    """Degrees of freedom after a step."""
    first, second, weight = 0.0, 0.0, 0.0
    for k in range(components):
        n, pull, logs, squares = sums[k], sums[components + k], sums[inner + k], sums[inner + components + k]
        one, other = curve(n, pull, logs, squares, state[dof + k], features)
        if careful:
            one = n * gap(n, pull, logs, state[dof + k], features, room[k])
        if rule == OWN:
            state[dof + k] = stepped(careful, one, other, n, state[dof + k])
        first, second, weight = first + one, second + other, weight + n
    for k in range(components if rule == SHARED else 0):
        state[dof + k] = stepped(careful, first, second, weight, state[dof + k])


@plain
def stepped(careful, first, second, weight, dof):
    """Degrees of freedom from a sum of gaps; or from where they are, by slope and bend in their logarithm."""
    if careful:
        return 2.0 * gamma_shape(first / weight, _LEAST / 2, _MOST / 2)
    step = -first / second if second < 0.0 else 1.0 if first > 0.0 else -1.0
    step = 1.0 if step > 1.0 else -1.0 if step < -1.0 else step
    found = dof * math.exp(step)
    return _LEAST if found < _LEAST else _MOST if found > _MOST else found


@plain
def gap(weight, pull, logs, dof, features, expansion):
    r"""Returns :math:`\log\bar u - \overline{\log u}` in units of the expansion."""
    half = 0.5 * (dof + features)
    value, _slope = digammas(half)
    mean_log = math.log(half) - value - math.log(0.5 * dof) - logs / weight
    return pull / weight / expansion - 1.0 + math.log(expansion) - mean_log


@plain
def curve(weight, pull, logs, squares, v, d):
    """The first two derivatives of the sum of log-densities in the logarithm of degrees of freedom."""
    half, own, ratio = 0.5 * (v + d), 0.5 * v, v / (v + d)
    ours, our_bend = digammas(own)
    more, more_bend = digammas(half)
    far, farther = weight - ratio * pull, ratio * pull - ratio * ratio * squares
    first = 0.5 * (math.log1p(d / v) - more + ours) - d / (2 * v)
    second = 0.25 * (more_bend + 1 / half - our_bend - 1 / own) + d / (2 * v * v)
    slope = weight * first - 0.5 * logs + half / v * far
    bend = weight * second + (0.5 * v * far - 0.5 * d * far - half * farther) / (v * v)
    return v * slope, v * v * bend + v * slope
