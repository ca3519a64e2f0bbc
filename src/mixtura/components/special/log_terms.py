r"""Differences of logarithms and their leading terms, without the loss of digits of the difference.

.. math:: \log(1 + u) - u, \qquad \log\Gamma(1 + a), \qquad
    \log\Gamma(z) - \big(z - \tfrac12\big)\log z + z - \tfrac12\log 2\pi = s(z) .

Of these are the logarithms of the powers in gamma and beta densities, which are differences of millions where shapes
are (Loader, 2000, Fast and accurate computation of binomial probabilities): with :math:`\ell(u) = \log(1 + u) - u` and
:math:`\delta = xb - (1 - x)a`,

.. math:: \log\frac{x^a e^{-x}}{\Gamma(a)} = a\,\ell\Big(\frac{x - a}{a}\Big) + \tfrac12\log\frac{a}{2\pi} - s(a), \\
    \log\frac{x^a (1 - x)^b}{B(a, b)} = a\,\ell\Big(\frac\delta a\Big) + b\,\ell\Big(\frac{-\delta}b\Big)
    + \tfrac12\log\frac{ab}{2\pi(a + b)} + s(a + b) - s(a) - s(b) .
"""

from __future__ import annotations

import math

import torch
from torch import Tensor

__all__ = ["exp_rest", "log1p_rest", "log_beta_power", "log_gamma_of_one_more", "log_gamma_power", "stirling_rest"]

_HALF_LOG_TWO_PI = 0.5 * math.log(2 * math.pi)
_STIRLING = (1 / 12, -1 / 360, 1 / 1260, -1 / 1680, 1 / 1188, -691 / 360360)


def log1p_rest(u: Tensor) -> Tensor:
    r"""Returns :math:`\log(1 + u) - u` for u above -1: near 0 by the series of :math:`2\operatorname{artanh}(r)`.

    Example:
        >>> from mixtura.components.special.log_terms import log1p_rest
        >>> log1p_rest(torch.tensor([1e-6, 1.0]))
        tensor([-5.0000e-13, -3.0685e-01])
    """
    near = u.abs() < 0.5
    inner = torch.where(near, u, 0.0)
    r = inner / (2 + inner)
    square, total = r.square(), torch.zeros_like(r)
    for k in range(35, 1, -2):
        total = total * square + 2.0 / k
    return torch.where(near, r * (square * total - inner), torch.log1p(u) - u)


def exp_rest(u: Tensor) -> Tensor:
    r"""Returns :math:`e^u - 1 - u` for u between -1/2 and 1/2, by its series.

    Example:
        >>> from mixtura.components.special.log_terms import exp_rest
        >>> exp_rest(torch.tensor([1e-6, 0.5]))
        tensor([5.0000e-13, 1.4872e-01])
    """
    total = torch.zeros_like(u)
    for power in range(15, 1, -1):
        total = (total + 1) * u / power
    return u * total


def log_gamma_of_one_more(a: Tensor) -> Tensor:
    r"""Returns :math:`\log\Gamma(1 + a)` for positive a, of which a small one is not lost beside the 1.

    Example:
        >>> from mixtura.components.special.log_terms import log_gamma_of_one_more
        >>> log_gamma_of_one_more(torch.tensor([1e-12, 1.0]))
        tensor([-5.7722e-13,  0.0000e+00])
    """
    near, total = a < 0.2, torch.zeros_like(a)
    inner = torch.where(near, a, 0.0)
    for coefficient in reversed(_ZETA):
        total = (total + coefficient) * inner
    return torch.where(near, total, torch.lgamma(1 + a))


def stirling_rest(z: Tensor) -> Tensor:
    """Returns what Stirling's formula leaves out of the log-gamma function of positive z.

    Example:
        >>> from mixtura.components.special.log_terms import stirling_rest
        >>> stirling_rest(torch.tensor([1.0, 100.0]).double())
        tensor([0.0811, 0.0008], dtype=torch.float64)
    """
    far = z > 15
    large, total = torch.where(far, z, 20.0), torch.zeros_like(z)
    for coefficient in reversed(_STIRLING):
        total = total / large.square() + coefficient
    near = torch.where(far, 1.0, z)
    plain = torch.lgamma(near) - (near - 0.5) * near.log() + near - _HALF_LOG_TWO_PI
    return torch.where(far, total / large, plain)


def log_gamma_power(a: Tensor, x: Tensor) -> Tensor:
    r"""Returns :math:`\log(x^a e^{-x}/\Gamma(a))` for positive a and x.

    Example:
        >>> from mixtura.components.special.log_terms import log_gamma_power
        >>> log_gamma_power(torch.tensor([2.0, 1e8]).double(), torch.tensor([2.0, 1e8]).double())
        tensor([-0.6137,  8.2914], dtype=torch.float64)
    """
    return a * _rest((x - a) / a, x / a) + 0.5 * (a.log() - math.log(2 * math.pi)) - stirling_rest(a)


def log_beta_power(a: Tensor, b: Tensor, x: Tensor, y: Tensor) -> Tensor:
    r"""Returns :math:`\log(x^a y^b / B(a, b))` for y = 1 - x, kept finite at the ends.

    Example:
        >>> from mixtura.components.special.log_terms import log_beta_power
        >>> log_beta_power(*(torch.tensor(value) for value in (1.0, 1.0, 0.25, 0.75))).exp()
        tensor(0.1875)
    """
    tiny = torch.finfo(x.dtype).tiny
    x, y, total = x.clamp_min(tiny), y.clamp_min(tiny), a + b
    gap = x * b - y * a
    stirling = stirling_rest(total) - stirling_rest(a) - stirling_rest(b)
    spread = 0.5 * (a.log() + b.log() - total.log() - math.log(2 * math.pi))
    return a * _rest(gap / a, x / a * total) + b * _rest(-gap / b, y / b * total) + spread + stirling


def _rest(u: Tensor, ratio: Tensor) -> Tensor:
    """log(1 + u) - u, where 1 + u is known as a ratio, too."""
    return torch.where(u.abs() < 0.5, log1p_rest(u.clamp(-0.5, 0.5)), ratio.log() - u)


def _zeta_coefficients(count: int) -> list[float]:
    """The coefficients of a, a^2, ... in the logarithm of the gamma function of 1 + a."""
    values = torch.special.zeta(torch.arange(2.0, count + 1, dtype=torch.float64), 1.0).tolist()
    return [-0.5772156649015329, *((-1) ** k * value / k for k, value in enumerate(values, 2))]


_ZETA = _zeta_coefficients(24)
