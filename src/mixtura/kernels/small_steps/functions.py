r"""Functions of one number on which M-steps of exponential families rest.

Digamma and trigamma are Stirling's series after as many steps of their recurrence as bring the argument to a dozen.
The modified Bessel function of the first kind is its power series where x is small, and else Hankel's,

.. math:: I_\nu(x) = \frac{(x/2)^\nu}{\Gamma(\nu + 1)} \sum_m \frac{(x^2/4)^m}{m!\,(\nu + 1)_m}, \qquad
    I_\nu(x) \approx \frac{e^x}{\sqrt{2\pi x}} \sum_m \prod_{i=1}^m \frac{(2i - 1)^2 - 4\nu^2}{8 i x} .
"""

import math

from ..native.program import plain

__all__ = ["bessel_series", "digammas", "log_bessel", "mean_length"]

_FAR = 40.0  # from where on Hankel's series serves the orders that there are
_ENOUGH = 15.0


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
