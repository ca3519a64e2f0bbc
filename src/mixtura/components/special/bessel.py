r"""Logarithms of modified Bessel functions of the first kind, of any order.

Where :math:`p = \sqrt{\nu^2 + x^2}` is small, the power series in logarithms,
:math:`I_\nu(x) = \sum_m (x/2)^{2m+\nu} / (m!\,\Gamma(m + \nu + 1))`; elsewhere Debye's uniform expansion (Olver, 1974,
section 10.7; NIST DLMF 10.41), with :math:`t = \nu/p`,

.. math:: \log I_\nu(x) \approx p + \nu\log\frac{x}{\nu + p} - \tfrac12\log(2\pi p)
    + \log\Big(1 + \sum_{k \ge 1} \frac{U_k(t)}{\nu^k}\Big) .

Both agree to about 1e-11 where they meet.
"""

from __future__ import annotations

import math

import torch
from torch import Tensor

from .newton import root

__all__ = ["log_bessel", "mean_length", "mean_length_inverse"]

_SWITCH = 60.0
_TERMS = 160  # of the power series, enough up to the switch


def log_bessel(order: float, x: Tensor) -> Tensor:
    r"""Returns :math:`\log I_\nu(x)` for an order of at least 0 and positive x, differentiable in x.

    Example:
        >>> from mixtura.components.special.bessel import log_bessel
        >>> log_bessel(0.0, torch.tensor([1.0])).exp()
        tensor([1.2661])
    """
    return _scaled(order, x) + x


def _scaled(order: float, x: Tensor) -> Tensor:
    r"""Returns :math:`\log I_\nu(x) - x`, which keeps its digits where x is large."""
    small = (x.square() + order**2).sqrt() < _SWITCH
    near, far = _series(order, x.where(small, 1.0)), _debye(order, x.where(~small, 2 * _SWITCH))
    return torch.where(small, near, far)


def _series(order: float, x: Tensor) -> Tensor:
    m = torch.arange(_TERMS, dtype=x.dtype, device=x.device)
    constants = -torch.lgamma(m + 1) - torch.lgamma(m + order + 1)
    return torch.logsumexp((2 * m + order) * (x / 2).log().unsqueeze(-1) + constants, -1) - x


def _debye(order: float, x: Tensor) -> Tensor:
    p = (x.square() + order**2).sqrt()
    t = order / p
    total = torch.ones_like(x)
    for k, coefficients in enumerate(_POLYNOMIALS, 1):  # U_k(t) / order^k is a polynomial in t over p^k
        value = torch.zeros_like(x)
        for coefficient in reversed(coefficients):
            value = value * t.square() + coefficient
        total = total + value / p**k
    rest = order**2 / (p + x)  # p - x
    return rest + order * (x / (order + p)).log() - 0.5 * (2 * math.pi * p).log() + total.log()


def _debye_polynomials(count: int) -> list[list[float]]:
    r"""Returns, for each k, the coefficients of :math:`U_k(t)/t^k` in powers of :math:`t^2`.

    .. math:: U_{k+1}(t) = \tfrac12 t^2(1 - t^2) U_k'(t) + \tfrac18\int_0^t (1 - 5s^2) U_k(s)\,ds .
    """
    polynomial, found = {0: 1.0}, []
    for k in range(1, count + 1):
        following: dict[int, float] = {}
        for power, c in polynomial.items():
            parts = (
                (power + 1, 0.5 * power * c + 0.125 * c / (power + 1)),
                (power + 3, -0.5 * power * c - 0.625 * c / (power + 3)),
            )
            for degree, value in parts:
                following[degree] = following.get(degree, 0.0) + value
        polynomial = following
        found.append([polynomial[power] for power in range(k, 3 * k + 1, 2)])
    return found


_POLYNOMIALS = _debye_polynomials(7)


def mean_length(features: int, concentration: Tensor) -> Tensor:
    r"""Returns :math:`A_D(\kappa) = I_{D/2}(\kappa)/I_{D/2-1}(\kappa)`, the length of the mean of a direction."""
    half = features / 2
    return (_scaled(half, concentration) - _scaled(half - 1, concentration)).exp()


def mean_length_inverse(features: int, length: Tensor, most: float = 1e8) -> Tensor:
    """Returns the concentration at which the mean has that length, between 0 and 1."""
    length = length.clamp(1e-12, 1 - 1e-15)
    start = length * (features - length.square()) / (1 - length.square())  # Banerjee et al. (2005)

    def rising(kappa: Tensor) -> tuple[Tensor, Tensor]:
        ratio = mean_length(features, kappa)
        slope = 1 - ratio.square() - (features - 1) / kappa * ratio
        return ratio - length, slope.clamp_min(1e-300)

    return root(rising, start, 1e-10, most)
