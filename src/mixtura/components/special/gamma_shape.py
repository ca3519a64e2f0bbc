r"""The maximum-likelihood shape of a gamma law, on which several M-steps rest.

With :math:`s = \log(\text{mean of } u) - \text{mean of } \log u \ge 0`, the shape a solves

.. math:: \log a - \psi(a) = s,

whose left side falls from infinity to 0. As a function of 1/a it is all but straight, half of 1/a at first and 1/a in
the end, so a few of Newton's steps in 1/a find the root from anywhere (Minka, 2002, Estimating a gamma distribution).
"""

from __future__ import annotations

import torch
from torch import Tensor

__all__ = ["gamma_shape", "log_gamma_ratio"]


def gamma_shape(gap: Tensor, low: float = 1e-8, high: float = 1e12) -> Tensor:
    """Returns the shape for gaps s, within limits; the upper limit where the gap is 0 or less.

    Example:
        >>> from mixtura.components.special.gamma_shape import gamma_shape
        >>> gamma_shape(torch.tensor(0.577216)).round(decimals=3)
        tensor(1.)
    """
    positive = gap.clamp_min(torch.finfo(gap.dtype).tiny)
    shape = ((3 - positive + ((positive - 3).square() + 24 * positive).sqrt()) / (12 * positive)).clamp(low, high)
    for _ in range(_STEPS):
        value, slope = _log_less_digamma(shape)
        shape = (1 / (1 / shape + (positive - value) / slope)).clamp(low, high)
    return shape


def _log_less_digamma(a: Tensor) -> tuple[Tensor, Tensor]:
    r"""Returns :math:`\log a - \psi(a)` and its slope in 1/a; where a is large, by series that do not cancel."""
    large, u = a > _LARGE, 1 / a.clamp_min(_LARGE)
    near = a.log() - torch.digamma(a), a.square() * torch.polygamma(1, a) - a
    far = u * (1 / 2 + u * (1 / 12 - u.square() * (1 / 120 - u.square() / 252))), 1 / 2 + u / 6 - u**3 / 30 + u**5 / 42
    return torch.where(large, far[0], near[0]), torch.where(large, far[1], near[1])


def log_gamma_ratio(a: Tensor, h: Tensor | float) -> Tensor:
    r"""Returns :math:`\log\Gamma(a + h) - \log\Gamma(a)` without the loss of digits of the difference for large a.

    There it is Stirling's series, taken term by term.

    Example:
        >>> from mixtura.components.special.gamma_shape import log_gamma_ratio
        >>> log_gamma_ratio(torch.tensor([2.0, 1e6]), 1.0)
        tensor([ 0.6931, 13.8155])
    """
    large = a.clamp_min(_LARGE)
    far = (large - 0.5) * torch.log1p(h / large) + h * (large + h).log() - h + _stirling(large + h) - _stirling(large)
    return torch.where(a > _LARGE, far, torch.lgamma(a + h) - torch.lgamma(a))


_LARGE = 50.0
_STEPS = 4


def _stirling(x: Tensor) -> Tensor:
    """What Stirling's formula leaves out of the log-gamma function."""
    inverse = 1 / x.square()
    return (1 / 12 - inverse * (1 / 360 - inverse / 1260)) / x
