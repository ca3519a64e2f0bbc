r"""A straight line from the draw to noise."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor

from .schedule import Schedule, as_time

__all__ = ["RectifiedFlow"]


@dataclass(frozen=True)
class RectifiedFlow(Schedule):
    r"""Straight paths, :math:`x_t = (1 - t) x_0 + t\varepsilon` for t from 0 to 1.

    .. math:: f_t = -\frac1{1-t}, \qquad g_t^2 = \frac{2t}{1-t} .

    Drift and diffusion are infinite at t = 1, where no signal is left; the velocity :math:`\varepsilon - x_0` is not.

    Source: Liu, Gong and Liu (2023); Lipman et al. (2023).

    Example:
        >>> flow = mx.diffusion.RectifiedFlow()
        >>> flow.alpha(0.25), flow.sigma(0.25), flow.log_snr(0.5)
        (tensor(0.7500, dtype=torch.float64), tensor(0.2500, dtype=torch.float64), tensor(0., dtype=torch.float64))
    """

    def alpha(self, t: Any) -> Tensor:
        return 1 - as_time(t)

    def variance(self, t: Any) -> Tensor:
        return as_time(t).square()

    def sigma(self, t: Any) -> Tensor:
        return as_time(t)

    def time(self, log_snr: Any) -> Tensor:
        return torch.sigmoid(-0.5 * as_time(log_snr))
