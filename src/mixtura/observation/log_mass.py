r"""The log-probability that a standard normal lies between limits, by arithmetic that is the same for all numbers.

Nothing here looks at a number to decide how to go on, so it can be written down once and compiled. Turned into the tail
where :math:`|b| \le |a|`, with :math:`E(t) = \tfrac12 \mathrm{erfcx}(t / \sqrt 2) = \Phi(-t)\, e^{t^2/2}`,

.. math:: \log P = \begin{cases}
        -b^2/2 + \log\big(E(-b) - E(-a)\, e^{(b^2 - a^2)/2}\big) & b < 0 \\
        \log\big(1 - E(b)\, e^{-b^2/2} - E(-a)\, e^{-a^2/2}\big) & b \ge 0 ,
    \end{cases}

and where an interval of middle m and half its width h is so narrow that these cancel, by Hermite's polynomials,

.. math:: P = 2 h \phi(m) \big(1 + He_2(m) h^2/3! + He_4(m) h^4/5! + He_6(m) h^6/7!\big) .
"""

from __future__ import annotations

import math

import torch
from torch import Tensor

__all__ = ["log_mass"]

_NARROW = 0.05  # a width, times the rate at which the density falls, below which the series is exact
_PER_ROOT = 1 / math.sqrt(2 * math.pi)


def log_mass(low: Tensor, high: Tensor) -> Tensor:
    """Returns the log-probability of a standard normal between finite limits, elementwise; low < high.

    Example:
        >>> from mixtura.observation.log_mass import log_mass
        >>> log_mass(torch.tensor(-1.0), torch.tensor(1.0)).exp()
        tensor(0.6827)
    """
    turned = low + high > 0
    a, b = torch.where(turned, -high, low), torch.where(turned, -low, high)
    width, middle = b - a, (a + b) / 2
    narrow = width * (1 - a) < _NARROW
    fine = _PER_ROOT * width * _bent(middle.square(), (width / 2).square())
    shift, rest = _wide(a, b)
    return torch.where(narrow, -0.5 * middle.square(), shift) + torch.where(narrow, fine, rest).log()


def _wide(a: Tensor, b: Tensor) -> tuple[Tensor, Tensor]:
    """The probability as a logarithm, plus that of a number between 0 and 1."""
    below = b < 0
    shift = torch.where(below, -0.5 * b.square(), 0.0)
    apart = torch.where(below, (b - a) * (b + a), -a.square())
    near = _scaled_tail(b.abs())
    upper = torch.where(below, near, 1 - near * (-0.5 * b.square()).exp())
    return shift, upper - _scaled_tail(a.abs()) * (0.5 * apart).exp()


def _scaled_tail(t: Tensor) -> Tensor:
    return 0.5 * torch.special.erfcx(t * math.sqrt(0.5))


def _bent(m: Tensor, h: Tensor) -> Tensor:
    """What a narrow interval has beside its middle's density, from the squares of its middle and of half its width."""
    second, fourth, sixth = m - 1, (m - 6) * m + 3, ((m - 15) * m + 45) * m - 15
    return 1 + h * (second / 6 + h * (fourth / 120 + h * sixth / 5040))
