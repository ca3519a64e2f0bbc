r"""The maximum-likelihood shape of a gamma law, on which several M-steps rest.

With :math:`s = \log(\text{mean of } u) - \text{mean of } \log u \ge 0`, the shape a solves

.. math:: \log a - \psi(a) = s,

whose left side falls from infinity to 0 (Minka, 2002, Estimating a gamma distribution).
"""

from __future__ import annotations

import torch
from torch import Tensor

from .newton import root

__all__ = ["gamma_shape"]


def gamma_shape(gap: Tensor, low: float = 1e-8, high: float = 1e12) -> Tensor:
    """Returns the shape for gaps s, within limits; the upper limit where the gap is 0 or less.

    Example:
        >>> from mixtura.components.gamma_shape import gamma_shape
        >>> gamma_shape(torch.tensor(0.577216)).round(decimals=3)
        tensor(1.)
    """
    positive = gap.clamp_min(torch.finfo(gap.dtype).tiny)
    start = (3 - positive + ((positive - 3).square() + 24 * positive).sqrt()) / (12 * positive)

    def rising(shape: Tensor) -> tuple[Tensor, Tensor]:
        value = torch.digamma(shape) - shape.log() + positive
        return value, torch.polygamma(1, shape) - 1 / shape

    return root(rising, start, low, high)
