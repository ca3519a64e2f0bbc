r"""Laws of a target given its linear predictor, for panels of rows.

Each returns the log-density without what does not depend on the predictor, the residual :math:`y - A'` and the
curvature :math:`A''`. Exponentials of log-odds are of numbers below zero, so none overflows,

.. math:: \log(1 + e^\eta) = \max(\eta, 0) + \log(1 + e^{-|\eta|}) .

A large count y that is foretold well has a log-density of a few nats, as a difference of millions. With
:math:`\delta = \eta - \log y` it is told without,

.. math:: y\eta - e^\eta = (y \log y - y) - y\,(e^\delta - 1 - \delta),

of which the first part does not depend on the predictor.
"""

import math

from ..native.panels import exp, largest, log, smallest, splat, where_negative
from ..native.program import plain

__all__ = ["LINEAR", "LOGISTIC", "POISSON", "base", "read"]

LINEAR, POISSON, LOGISTIC = range(3)

_MOST = 709.0  # the largest predictor of which there is an exponential
_NONE = 1e-30  # a count that is none
_NEAR, _TERMS = 0.5, 15  # a difference of logarithms below which the exponential's series is taken, and its powers


@plain
def read(law, y, trials, predictor, precision):
    """The log-density but for its base, the residual and the curvature of a law at a predictor."""
    if law == POISSON:
        rate = exp(smallest(predictor, splat(_MOST, y)))
        return counted(y, predictor, rate), y - rate, rate
    if law == LOGISTIC:
        return successes(y, trials, predictor)
    gap = y - predictor
    scaled = splat(precision, y) * gap
    return splat(-0.5, y) * scaled * scaled, gap, splat(1.0, y)


@plain
def counted(y, predictor, rate):
    """The log-density of counts, beside that of counts foretold exactly."""
    gap = predictor - log(largest(y, splat(_NONE, y)))
    rest = splat(0.0, y)
    for i in range(_TERMS - 1):
        rest = (rest + splat(1.0, y)) * gap * splat(1.0 / (_TERMS - i), y)
    near = largest(gap, splat(0.0, y) - gap) - splat(_NEAR, y)
    return where_negative(near, splat(0.0, y) - y * gap * rest, y * (gap + splat(1.0, y)) - rate)


@plain
def successes(y, trials, predictor):
    """The law of successes in so many trials."""
    zero, one = splat(0.0, y), splat(1.0, y)
    tail = exp(zero - largest(predictor, zero - predictor))
    most = one / (one + tail)
    least = tail * most
    mean = trials * where_negative(predictor, least, most)
    density = y * predictor - trials * (largest(predictor, zero) + log(one + tail))
    return density, y - mean, trials * most * least


@plain
def base(law, y, trials, factorials, count):
    """What the log-density of a row has beside, the same for all components."""
    if law == POISSON:
        return y * math.log(y if y > _NONE else _NONE) - y - log_factorial(y, factorials, count)
    if law == LOGISTIC:
        ways = log_factorial(trials, factorials, count) - log_factorial(y, factorials, count)
        return ways - log_factorial(trials - y, factorials, count)
    return 0.0


@plain
def log_factorial(y, factorials, count):
    """The logarithm of y!, from a table of so many where y is among them."""
    if y >= 0.0 and y < count and y == int(y):
        return factorials[int(y)]
    return math.lgamma(y + 1.0)
