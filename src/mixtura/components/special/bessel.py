r"""Logarithms of modified Bessel functions of the first kind, of any order.

Where :math:`p = \sqrt{\nu^2 + x^2}` is small, the power series

.. math:: I_\nu(x) = \frac{(x/2)^\nu}{\Gamma(\nu + 1)} \sum_m t_m, \quad
    t_m = \prod_{i=1}^m \frac{x^2/4}{i(\nu + i)}, \qquad
    \frac{I_{\nu+1}(x)}{I_\nu(x)} = \frac x2 \sum_m \frac{t_m}{\nu + 1 + m} \Big/ \sum_m t_m\,;

elsewhere Debye's uniform expansion (Olver, 1974,
section 10.7; NIST DLMF 10.41), with :math:`t = \nu/p`,

.. math:: \log I_\nu(x) \approx p + \nu\log\frac{x}{\nu + p} - \tfrac12\log(2\pi p)
    + \log\Big(1 + \sum_{k \ge 1} \frac{U_k(t)}{\nu^k}\Big) .

Both agree to about 1e-11 where they meet.
"""

from __future__ import annotations

import math

import torch
from torch import Tensor

__all__ = ["log_bessel", "log_bessel_rest", "mean_length", "mean_length_inverse"]

_SWITCH = 60.0
_TERMS = 100  # of the power series, enough up to the switch
_FAR = 1e4  # concentrations over dimensions from which on the ratio's slope is its asymptotic one
_HALLEY = 2  # steps, each of which cubes a relative error that is a twentieth at first


def log_bessel(order: float, x: Tensor) -> Tensor:
    r"""Returns :math:`\log I_\nu(x)` for an order of at least 0 and positive x, differentiable in x.

    Example:
        >>> from mixtura.components.special.bessel import log_bessel
        >>> log_bessel(0.0, torch.tensor([1.0])).exp()
        tensor([1.2661])
    """
    return log_bessel_rest(order, x) + x


def log_bessel_rest(order: float, x: Tensor) -> Tensor:
    r"""Returns :math:`\log I_\nu(x) - x`, which keeps its digits where x is large.

    Example:
        >>> from mixtura.components.special.bessel import log_bessel_rest
        >>> log_bessel_rest(0.0, torch.tensor([1e8]).double())
        tensor([-10.1293], dtype=torch.float64)
    """
    small, near, far = _sides(order, x)
    series = order * (near / 2).log() - math.lgamma(order + 1) + _powers(order, near).sum(-1).log() - near
    return torch.where(small, series, _debye(order, far))


def _sides(order: float, x: Tensor) -> tuple[Tensor, Tensor, Tensor]:
    """Which numbers the series serves, and the numbers with others in the place of those that it does, or does not."""
    small = (x.square() + order**2).sqrt() < _SWITCH
    return small, x.where(small, 1.0), x.where(~small, 2 * _SWITCH)


def _powers(order: float, x: Tensor) -> Tensor:
    """The terms t of the power series, with shape ``(..., M)``."""
    m = torch.arange(1, _TERMS, dtype=x.dtype, device=x.device)
    factors = (x.square() / 4).unsqueeze(-1) / (m * (order + m))
    return torch.cat([torch.ones_like(factors[..., :1]), factors.cumprod(-1)], -1)


def _debye(order: float, x: Tensor) -> Tensor:
    p = (x.square() + order**2).sqrt()
    t = order / p
    orders = torch.arange(1, len(_POLYNOMIALS) + 1, dtype=x.dtype, device=x.device)
    coefficients = torch.tensor(_POLYNOMIALS, dtype=x.dtype, device=x.device)
    square, inner = t.square().unsqueeze(-1), torch.zeros_like(x).unsqueeze(-1)
    for column in coefficients.flip(-1).unbind(-1):  # U_k(t) / order^k is a polynomial in t over p^k
        inner = inner * square + column
    total = (inner / p.unsqueeze(-1) ** orders).sum(-1)
    rest = order**2 / (p + x)  # p - x
    return rest + order * (x / (order + p)).log() - 0.5 * (2 * math.pi * p).log() + torch.log1p(total)


def _debye_polynomials(count: int) -> list[list[float]]:
    r"""Returns, for each k, the coefficients of :math:`U_k(t)/t^k` in powers of :math:`t^2`, all as long.

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
        found.append([polynomial.get(power, 0.0) for power in range(k, k + 2 * count + 1, 2)])
    return found


_POLYNOMIALS = _debye_polynomials(7)


def mean_length(features: int, concentration: Tensor) -> Tensor:
    r"""Returns :math:`A_D(\kappa) = I_{D/2}(\kappa)/I_{D/2-1}(\kappa)`, the length of the mean of a direction."""
    order = features / 2 - 1
    small, near, far = _sides(order, concentration)
    near_ratio = _near_ratio(order, near)
    if bool(small.all()):
        return near_ratio
    return torch.where(small, near_ratio, (_debye(order + 1, far) - _debye(order, far)).exp())


def _near_ratio(order: float, x: Tensor) -> Tensor:
    terms = _powers(order, x)
    m = torch.arange(1, _TERMS + 1, dtype=terms.dtype, device=terms.device)
    return x / 2 * (terms / (order + m)).sum(-1) / terms.sum(-1)


def mean_length_inverse(features: int, length: Tensor, most: float = 1e8) -> Tensor:
    r"""Returns the concentration at which the mean has that length, between 0 and 1.

    From a rational start (Banerjee et al., 2005), by Halley's steps: the ratio solves
    :math:`A' = 1 - A^2 - (D - 1) A/\kappa`, which gives both derivatives.
    """
    length = length.clamp(1e-12, 1 - torch.finfo(length.dtype).eps)
    kappa = (length * (features - length.square()) / (1 - length.square())).clamp_max(most)
    for _ in range(_HALLEY):
        ratio = mean_length(features, kappa)
        first, second = _slopes(features, kappa, ratio)
        newton = (ratio - length) / first
        step = newton / (1 - 0.5 * newton * second / first).clamp(0.5, 2)
        kappa = kappa - step.clamp(-kappa / 2, kappa / 2)  # no more than rounding where lengths are all but one
    return kappa.clamp(1e-10, most)


def _slopes(features: int, kappa: Tensor, ratio: Tensor) -> tuple[Tensor, Tensor]:
    """The first two derivatives of the ratio; its asymptotic ones where they cancel."""
    first = 1 - ratio.square() - (features - 1) / kappa * ratio
    second = -2 * ratio * first - (features - 1) / kappa * (first - ratio / kappa)
    far, limit = kappa > _FAR * features, (features - 1) / (2 * kappa.square())
    return first.where(~far, limit), second.where(~far, -2 * limit / kappa)
