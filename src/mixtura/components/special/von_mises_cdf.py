r"""Probabilities of arcs under the von Mises law, of small ones to rounding.

.. math:: P(s \le \theta \le t) =
    \frac{1}{2\pi e^{-\kappa} I_0(\kappa)} \int_s^t e^{-2\kappa\sin^2(\theta/2)}\,d\theta ,

on pieces on which the density rises or falls, by Gauss-Legendre nodes between the end where it is largest and where
nothing is left of it in double precision: :math:`2\kappa(\sin^2 - \sin_0^2) = 45` further on.
"""

from __future__ import annotations

import math
from functools import lru_cache

import numpy as np
import torch
from torch import Tensor

from .bessel import log_bessel_rest

__all__ = ["arc"]

_NODES = 48
_LEFT = 45.0  # nats below its largest that leave nothing of a density
_PI = math.pi
_MODES, _AHEAD = (0.0, 0.0, 2 * _PI, 2 * _PI), (-1.0, 1.0, -1.0, 1.0)  # where the density is largest, and its two sides


def arc(start: Tensor, length: Tensor, concentration: Tensor) -> Tensor:
    """Returns the probability of angles from the mean direction between a start and so much further.

    Arguments:
        start: Where the arc begins, between -pi and pi.
        length: Its length, between 0 and 2 pi.
        concentration: The concentrations, positive.

    Example:
        >>> from mixtura.components.special.von_mises_cdf import arc
        >>> arc(*(torch.tensor(value) for value in (0.0, torch.pi, 4.0)))
        tensor(0.5000)
    """
    start, length, concentration = torch.broadcast_tensors(start, length, concentration)
    low, high = (end.unsqueeze(-1) for end in (start, start + length))
    mode, ahead = (start.new_tensor(values) for values in (_MODES, _AHEAD))
    near = torch.where(ahead > 0, low - mode, mode - high)
    near = near.where(near > 0, 0.0)  # at the mode itself only one side moves
    far = torch.where(ahead > 0, high - mode, mode - low).clamp_max(_PI)
    total = _falling(near, far, concentration.unsqueeze(-1)).sum(-1)
    return total * (-math.log(2 * _PI) - log_bessel_rest(0, concentration)).exp()


def _falling(near: Tensor, far: Tensor, concentration: Tensor) -> Tensor:
    """The integral from near to far of the mean direction, both within half a turn; nothing where far is nearer."""
    with torch.no_grad():
        least = (0.5 * near).sin().square() + _LEFT / (2 * concentration)
        last = 2 * least.clamp_max(1).sqrt().asin()
    far = torch.minimum(far, last)
    node, weight = (torch.as_tensor(array, dtype=near.dtype, device=near.device) for array in _legendre())
    half = (0.5 * (far - near)).clamp_min(0).unsqueeze(-1)
    angle = near.unsqueeze(-1) + half * (1 + node)
    density = (-2 * concentration.unsqueeze(-1) * (0.5 * angle).sin().square()).exp()
    return (half * weight * density).sum(-1)


@lru_cache
def _legendre() -> tuple[np.ndarray, np.ndarray]:
    return np.polynomial.legendre.leggauss(_NODES)
