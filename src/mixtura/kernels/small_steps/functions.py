r"""Functions of one number on which M-steps of exponential families rest.

Digamma and trigamma are Stirling's series after as many steps of their recurrence as bring the argument to a dozen, and
so are ratios of gamma functions. The modified Bessel function of the first kind is its power series where x is small,
and else Hankel's,

.. math:: I_\nu(x) = \frac{(x/2)^\nu}{\Gamma(\nu + 1)} \sum_m \frac{(x^2/4)^m}{m!\,(\nu + 1)_m}, \qquad
    I_\nu(x) \approx \frac{e^x}{\sqrt{2\pi x}} \sum_m \prod_{i=1}^m \frac{(2i - 1)^2 - 4\nu^2}{8 i x} .
"""

import math

from ..native.program import plain

__all__ = ["bessel_series", "digammas", "gamma_shape", "log_bessel", "log_gamma_gap", "mean_length"]

_FAR = 40.0  # from where on Hankel's series serves the orders that there are
_ENOUGH = 15.0
_STEPS = 25  # of Newton
_TINY = 2.2250738585072014e-308


@plain
def digammas(a):
    r"""Returns :math:`\log a - \psi(a)` and :math:`\psi'(a) - 1/a`, neither of which cancels where a is large."""
    x, value, slope = a, 0.0, 0.0
    while x < _ENOUGH:
        value, slope, x = value + 1 / x, slope + 1 / (x * x), x + 1
    u = 1 / x
    s = u * u
    value += u / 2 + s * (1 / 12 - s * (1 / 120 - s * (1 / 252 - s * (1 / 240 - s / 132))))
    slope += u * (u / 2 + s * (1 / 6 - s * (1 / 30 - s * (1 / 42 - s * (1 / 30 - s * (5 / 66))))))
    return value - math.log(x / a), slope + u - 1 / a


@plain
def gamma_shape(gap, low, high):
    r"""The shape a of a gamma law with :math:`\log a - \psi(a)` the gap, within limits; see `special.gamma_shape`."""
    gap = _TINY if gap < _TINY else gap
    a = (3 - gap + math.sqrt((gap - 3) * (gap - 3) + 24 * gap)) / (12 * gap)
    for _ in range(_STEPS):
        a = low if a < low else high if a > high else a
        value, slope = digammas(a)
        a, last = 1 / (1 / a + (gap - value) / (a * a * slope)), a
        if not abs(a - last) > 1e-14 * last:
            break
    return low if a < low else high if a > high else a


@plain
def log_gamma_gap(a, h):
    r"""Returns :math:`\log\Gamma(a + h) - \log\Gamma(a)`, which does not cancel where a is large."""
    x, found = a, 0.0
    while x < _ENOUGH:
        found, x = found - math.log1p(h / x), x + 1
    u, v = 1 / x, 1 / (x + h)
    rest = v * (1 / 12 - v * v * (1 / 360 - v * v * (1 / 1260 - v * v / 1680)))
    rest -= u * (1 / 12 - u * u * (1 / 360 - u * u * (1 / 1260 - u * u / 1680)))
    return found + (x - 0.5) * math.log1p(h * u) + h * math.log(x + h) - h + rest


@plain
def bessel_series(order, x):
    """The sum in the power series, or in Hankel's."""
    term, total, m = 1.0, 1.0, 0
    while abs(term) > 1e-17 * total and m < 300:
        m += 1
        near = x * x / 4 / (m * (order + m))
        far = ((2 * m - 1) * (2 * m - 1) - 4 * order * order) / (8 * m * x)
        term *= near if x < _FAR else far
        total += term
    return total


@plain
def log_bessel(order, x):
    r"""Returns :math:`\log I_\nu(x)`."""
    total = math.log(bessel_series(order, x))
    if x < _FAR:
        return order * math.log(x / 2) - math.lgamma(order + 1) + total
    return x - 0.5 * math.log(2 * math.pi * x) + total


@plain
def mean_length(order, x):
    r"""Returns :math:`I_{\nu+1}(x) / I_\nu(x)`."""
    ratio = bessel_series(order + 1, x) / bessel_series(order, x)
    return ratio * x / (2 * (order + 1)) if x < _FAR else ratio
