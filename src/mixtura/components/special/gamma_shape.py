r"""The maximum-likelihood shape of a gamma law, on which several M-steps rest.

With :math:`s = \log(\text{mean of } u) - \text{mean of } \log u \ge 0`, the shape a solves

.. math:: \log a - \psi(a) = s,

whose left side falls from infinity to 0 (Minka, 2002, Estimating a gamma distribution).
"""

from __future__ import annotations

import torch
from torch import Tensor

from .newton import root

__all__ = ["gamma_shape", "log_gamma_ratio"]


def gamma_shape(gap: Tensor, low: float = 1e-8, high: float = 1e12) -> Tensor:
    """Returns the shape for gaps s, within limits; the upper limit where the gap is 0 or less.

    Example:
        >>> from mixtura.components.special.gamma_shape import gamma_shape
        >>> gamma_shape(torch.tensor(0.577216)).round(decimals=3)
        tensor(1.)
    """
    positive = gap.clamp_min(torch.finfo(gap.dtype).tiny)
    start = (3 - positive + ((positive - 3).square() + 24 * positive).sqrt()) / (12 * positive)

    def rising(shape: Tensor) -> tuple[Tensor, Tensor]:
        value = torch.digamma(shape) - shape.log() + positive
        return value, torch.polygamma(1, shape) - 1 / shape

    return root(rising, start, low, high)


def log_gamma_ratio(a: Tensor, h: float) -> Tensor:
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


def _stirling(x: Tensor) -> Tensor:
    """What Stirling's formula leaves out of the log-gamma function."""
    inverse = 1 / x.square()
    return (1 / 12 - inverse * (1 / 360 - inverse / 1260)) / x
