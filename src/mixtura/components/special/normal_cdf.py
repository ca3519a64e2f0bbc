r"""The standard normal distribution function with both tails kept.

.. math:: \Phi(z) = \tfrac12 \operatorname{erfc}(-z/\sqrt2) .

``torch.special.ndtr`` takes :math:`\tfrac12(1 + \operatorname{erf})`, which has no digits left below z = -8.
"""

from __future__ import annotations

import math

import torch
from torch import Tensor

__all__ = ["phi"]


def phi(z: Tensor) -> Tensor:
    """Returns the probability of a standard normal number below ``z``, accurate relative to itself where it is small.

    Example:
        >>> from mixtura.components.special.normal_cdf import phi
        >>> phi(torch.tensor([0.0, -10.0]))
        tensor([5.0000e-01, 7.6199e-24])
    """
    return 0.5 * torch.special.erfc(-math.sqrt(0.5) * z)
