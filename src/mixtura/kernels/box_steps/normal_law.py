r"""Panels of standard normals between limits: probability and the first two moments.

With :math:`Q(x) = \int_x^\infty \phi`, the function :math:`q(x) = Q(x)\,e^{x^2/2}` of :math:`x \ge 0` falls slowly, and
:math:`(1 + x)\,q(x)` is a polynomial in :math:`t = (x - 5)/(x + 5)` to sixteen digits (Shepherd and Laframboise, 1981).
Limits are turned into the upper tail, where probabilities do not cancel, and all comes in units of the density at the
point of the interval nearest to zero, so that none of it is ever too small to be a number.
"""

import math
from functools import cache

import numpy as np

from ..native.panels import exp, fma, largest, root, smallest, splat, total, where_negative
from ..native.program import plain
from ..small_steps.calls import Array

__all__ = ["TABLES", "between", "limited", "place_of", "spanned", "tables", "weight_of"]

_TERMS, _MOST = 24, 64  # coefficients of the tail; nodes of an interval
_RULES = _MOST * (_MOST + 1) // 2
TABLES = _TERMS + 2 * _RULES
"""Numbers in `tables`."""

_HEIGHT = 1 / math.sqrt(2 * math.pi)
_NARROW, _FEW = 0.1, 12  # an interval in which differences lose digits, and the nodes that serve it
_END = 40.0  # scales beyond which a normal distribution has nothing left in double precision
_FAR = 80.0  # squared scales beyond the nearest point of an interval that leave nothing of its probability


@cache
def tables() -> Array:
    """Coefficients of the tail, highest power first; Gauss-Legendre places and weights of 1, 2, ... nodes.

    One node is at the middle, and weighs one: a coordinate that is not there.
    """
    rules = [(np.zeros(1), np.ones(1)), *(np.polynomial.legendre.leggauss(n) for n in range(2, _MOST + 1))]
    return np.concatenate([_tail_terms(), *(one for one, _ in rules), *(one for _, one in rules)])


def _tail_terms() -> Array:
    """By interpolation at Chebyshev's points; Mills' ratio there is Laplace's continued fraction, or a series."""
    angles = np.pi * (np.arange(4 * _TERMS) + 0.5) / (4 * _TERMS)
    t = np.cos(angles)
    values = np.array([(1 + x) * _tail(x) for x in 5 * (1 + t) / (1 - t)])
    terms = [2 / len(t) * (values * np.cos(i * angles)).sum() / (1 + (i == 0)) for i in range(_TERMS)]
    return np.polynomial.chebyshev.cheb2poly(terms)[::-1]


def _tail(x: float) -> float:
    """The function q at one place."""
    if x < 3:
        return 0.5 * math.erfc(x / math.sqrt(2)) * math.exp(x * x / 2)
    below = x
    for i in range(100, 0, -1):
        below = x + i / below
    return _HEIGHT / below


@plain
def place_of(given, count, i):
    """Where, from -1 to 1, one of so many nodes is."""
    return given[_TERMS + count * (count - 1) // 2 + i]


@plain
def weight_of(given, count, i):
    """Its weight."""
    return given[_TERMS + _RULES + count * (count - 1) // 2 + i]


@plain
def tail(x, given):
    """The function q of a panel."""
    value, five = splat(given[0], x), splat(5.0, x)
    t = (x - five) / (x + five)
    for i in range(1, _TERMS):
        value = fma(value, t, splat(given[i], x))
    return value / (x + splat(1.0, x))


@plain
def limited(low, high):
    """Limits without infinities, so far out that nothing is lost."""
    zero, end = splat(0.0, low), splat(_END, low)
    return largest(low, smallest(high, zero) - end), smallest(high, largest(low, zero) + end)


@plain
def spanned(low, high):
    """The lower end of what matters of an interval, and half of its length."""
    zero = splat(0.0, low)
    near = largest(largest(low, zero - high), zero)
    reach = root(fma(near, near, splat(_FAR, low)))
    low, high = largest(low, zero - reach), smallest(high, reach)
    return low, (high - low) * splat(0.5, low)


@plain
def between(low, high, given):
    """Logarithm of a unit; in that unit the probability of an interval, and the integrals of z and of its square."""
    zero, one, height = splat(0.0, low), splat(1.0, low), splat(_HEIGHT, low)
    middle = low + high
    a, b = where_negative(middle, zero - high, low), where_negative(middle, zero - low, high)
    near = largest(a, zero)
    unit = splat(-0.5, low) * near * near
    at_a, at_b = exp(splat(-0.5, low) * a * a - unit), exp(splat(-0.5, low) * b * b - unit)
    upper, lower = tail(b, given) * at_b, tail(largest(a, zero - a), given) * at_a
    mass = where_negative(a, one - lower - upper, lower - upper)
    first, second = height * (at_a - at_b), fma(height, a * at_a - b * at_b, mass)
    width = b - a - splat(_NARROW, low)
    if total(where_negative(width, one, zero)) > 0.0:
        m, f, s = within(a, b, unit, given)
        mass, first, second = where_negative(width, m, mass), where_negative(width, f, first), second
        second = where_negative(width, s, second)
    return unit, mass, where_negative(middle, zero - first, first), second


@plain
def within(a, b, unit, given):
    """Probability and the two integrals of narrow intervals, by nodes."""
    half, minus = (b - a) * splat(0.5, a), splat(-0.5, a)
    mass = first = second = splat(0.0, a)
    for i in range(_FEW):
        z = fma(half, splat(1 + place_of(given, _FEW, i), a), a)
        share = exp(minus * z * z - unit) * splat(_HEIGHT * weight_of(given, _FEW, i), a) * half
        mass, first, second = mass + share, fma(share, z, first), fma(share, z * z, second)
    return mass, first, second
