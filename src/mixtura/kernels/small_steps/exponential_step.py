r"""The M-step of one start of an exponential family: weights, natural parameters and log-normalisers from sums.

Sums are N (K) and M (K, F). The mean parameters are M / N; what a family makes of them is said in its own file, under
`components`, and done here once more. Coordinates that are independent within a component are members side by side,
each with so many numbers of T; A of a component is their sum. See `exponential_sums` for the parameters of a start.
"""

import math

from ..native.program import plain
from .functions import digammas, gamma_shape, log_bessel, mean_length

__all__ = ["size_of_room", "update"]

POISSON, EXPONENTIAL, GEOMETRIC, BINOMIAL, SHARES, GAMMA, INVERSE_GAMMA, BETA, DIRICHLET, DIRECTION = range(10)

_LEAST = 1e-30  # of a Poisson rate
_TINY = 2.2250738585072014e-308  # of a share
_INSIDE = 2.220446049250313e-16  # between a probability and 0 or 1
_LOW, _HIGH = 1e-8, 1e12  # of a shape or a concentration
_POINT = 1e10  # a shape, or total concentration, from which on a law is a point
_SHARP = 1e7  # a concentration from which on a direction is a point
_STEPS, _LEAST_SHARE = 25, 1e-3  # of Newton, and how often one is halved
_DIGAMMA_OF_ONE, _FEW = -0.5772156649015329, -2.22


@plain
def size_of_room(size):
    """Numbers of scratch that `update` takes for members of so many statistics."""
    return 3 * size


@plain
def update(code, sums, components, features, size, trials, state, floor, room):
    """Parameters from sums; the first component that is too narrow or has no parameters, or -1.

    Arguments:
        code: The family.
        sums: N and M.
        components: K.
        features: F.
        size: The statistics of one member, a divisor of F.
        trials: Those behind every value of a binomial law.
        state: Parameters: those before on entry, from which iterations start, the new ones on return.
        floor: The least variance of each coordinate.
        room: Scratch; see `size_of_room`.
    """
    total = 0.0
    for k in range(components):
        total += sums[k]
    for k in range(components):
        if not (sums[k] > 0.0 and math.isfinite(sums[k])):
            return k
        constant = state[k] = math.log(sums[k] / total)
        for g in range(0, features, size):
            m, e = components + k * features + g, 2 * components + k * features + g
            if code <= BINOMIAL:
                constant -= of_one(code, sums[m] / sums[k], trials, state, e, floor[g])
            elif code == SHARES:
                constant -= shares(sums, m, size, state, e)
            elif code <= INVERSE_GAMMA:
                constant -= gamma(code, sums[m] / sums[k], sums[m + 1] / sums[k], state, e, floor[g // size])
            elif code <= DIRICHLET:
                constant -= concentrations(code, sums, m, sums[k], size, state, e, floor, g // size, room)
            else:
                constant -= direction(sums, m, sums[k], size, state, e)
        state[components + k] = constant
        if not math.isfinite(constant):
            return k
    return -1


@plain
def of_one(code, mean, trials, state, e, floor):
    """The natural parameter of a family with one, at its place; returns A."""
    if code == POISSON:
        rate = _LEAST if mean < _LEAST else mean
        state[e] = math.log(rate)
        return rate
    if code == EXPONENTIAL:
        state[e] = -1 / mean
        return math.log(mean) if mean * mean >= floor else math.nan
    success = mean / trials if code == BINOMIAL else 1 / (1 + mean)
    success = _INSIDE if success < _INSIDE else success
    success = 1 - _INSIDE if success > 1 - _INSIDE else success
    state[e] = math.log1p(-success)
    if code == GEOMETRIC:
        return -math.log(success)
    normaliser = -trials * state[e]
    state[e] = math.log(success) - state[e]
    return normaliser


@plain
def shares(sums, m, size, state, e):
    """Logarithms of the shares of categories; returns A, which is zero, or NaN where there are none."""
    total = 0.0
    for c in range(size):
        state[e + c] = _TINY if sums[m + c] < _TINY else sums[m + c]
        total += state[e + c]
    for c in range(size):
        state[e + c] = math.log(state[e + c] / total)
    return 0.0 * total


@plain
def gamma(code, mean, logarithm, state, e, floor):
    """A gamma law, or that of the reciprocal; see `gamma_shape`. Returns A."""
    gap = math.log(mean) - logarithm if code == GAMMA else math.log(mean) + logarithm
    a = gamma_shape(gap, _LOW, _HIGH)
    b = a / mean
    state[e] = -b
    state[e + 1] = a - 1 if code == GAMMA else -a - 1
    width = mean * mean / a if code == GAMMA else b * b / ((a + 1) * (a + 1) * a)
    return math.lgamma(a) - a * math.log(b) if width >= floor and a < _POINT else math.nan


# -- concentrations of shares


@plain
def concentrations(code, sums, m, weight, size, state, e, floor, d, room):
    """A Dirichlet law, or a beta one, by Newton's steps; see `components.dirichlet`. Returns A."""
    load(state, e, size, room)
    guess(sums, m, weight, size, room)
    accepted(sums, m, weight, size, room)
    for _ in range(_STEPS):
        enough = newton(sums, m, weight, size, room)
        if not ascended(sums, m, weight, size, room) or enough:
            break
    total, narrow = 0.0, False
    for c in range(size):
        state[e + c] = room[c] - 1
        total += room[c]
    for c in range(1 if code == BETA else size):
        mean = room[c] / total
        narrow = narrow or not mean * (1 - mean) / (total + 1) >= floor[d + c]
    return math.nan if narrow or not total < _POINT else objective(sums, m, weight, size, room, 0)[1]


@plain
def load(state, e, size, room):
    """Concentrations from natural parameters."""
    for c in range(size):
        room[c] = state[e + c] + 1


@plain
def objective(sums, m, weight, size, room, at):
    """The expected log-density at concentrations, and A."""
    pairing, normaliser, total = 0.0, 0.0, 0.0
    for c in range(size):
        pairing += room[at + c] * sums[m + c] / weight
        normaliser += math.lgamma(room[at + c])
        total += room[at + c]
    normaliser -= math.lgamma(total)
    return pairing - normaliser, normaliser


@plain
def accepted(sums, m, weight, size, room):
    """Takes the concentrations of a trial, second in the room, unless they are less likely; returns whether it did."""
    now, normaliser = objective(sums, m, weight, size, room, 0)
    if objective(sums, m, weight, size, room, size)[0] < now - 8 * _INSIDE * abs(normaliser):
        return False
    for c in range(size):
        room[c] = room[size + c]
    return True


@plain
def ascended(sums, m, weight, size, room):
    """Goes along a step, third in the room, as far as that does not lower the objective; returns whether it went."""
    share = 1.0
    while share > _LEAST_SHARE:
        for c in range(size):
            part = share * room[2 * size + c] / room[c]
            factor = 1 + part if part > 0.0 else math.exp(-3.0 if part < -3.0 else part)
            room[size + c] = _HIGH if room[c] * factor > _HIGH else room[c] * factor
        if accepted(sums, m, weight, size, room):
            return True
        share /= 2
    return False


@plain
def guess(sums, m, weight, size, room):
    """A trial that is right to some per cent where concentrations are above one."""
    mass = 0.0
    for c in range(size):
        mass += math.exp(sums[m + c] / weight)
    gap = 2 * (1 - mass)
    whole = (size - mass) / (gap if gap > 1 / _HIGH else 1 / _HIGH)
    for c in range(size):
        logarithm = sums[m + c] / weight + math.log(whole - 0.5)
        room[size + c] = math.exp(logarithm) + 0.5 if logarithm > _FEW else -1 / (logarithm - _DIGAMMA_OF_ONE)


@plain
def newton(sums, m, weight, size, room):
    """Newton's step in the concentrations; returns whether it is the last that rounding allows."""
    total, above, below, enough = 0.0, 0.0, 0.0, True
    for c in range(size):
        total += room[c]
    gap, bend = digammas(total)
    for c in range(size):
        value, slope = digammas(room[c])
        room[size + c] = slope + 1 / room[c]
        gradient = sums[m + c] / weight + value - math.log(room[c] / total) - gap
        room[2 * size + c] = gradient / room[size + c]
        above += room[2 * size + c]
        below += 1 / room[size + c]
    shift = above / (1 / (bend + 1 / total) - below)
    for c in range(size):
        room[2 * size + c] += shift / room[size + c]
        enough = enough and not abs(room[2 * size + c]) > (1e-9 + 8 * _INSIDE * total) * room[c]
    return enough


# -- directions


@plain
def direction(sums, m, weight, size, state, e):
    """A von Mises-Fisher law, or that of an angle as a direction in the plane; returns A."""
    length, order = 0.0, 0.5 * size - 1
    for c in range(size):
        length += sums[m + c] / weight * (sums[m + c] / weight)
    length = math.sqrt(length)
    least = _INSIDE if length > 1 - _INSIDE else 1 - length * length
    kappa = length * (size - length * length) / least
    for _ in range(_STEPS):
        ratio = mean_length(order, kappa)
        slope = 1 - ratio * ratio - (size - 1) / kappa * ratio
        slope = slope if kappa < 1e4 * size else (size - 1) / (2 * kappa * kappa)
        kappa, last = kappa / math.exp((ratio - length) / (slope * kappa)), kappa
        if not abs(kappa - last) > 1e-9 * last:
            break
    for c in range(size):
        state[e + c] = kappa / length * (sums[m + c] / weight)
    normaliser = 0.5 * size * math.log(2 * math.pi) + log_bessel(order, kappa) - order * math.log(kappa)
    return normaliser if kappa < _SHARP else math.nan
