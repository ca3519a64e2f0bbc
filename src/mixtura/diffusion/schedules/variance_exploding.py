r"""Schedules that leave the draw as it is and add ever more noise: :math:`\alpha_t = 1`."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor

from ...errors import refuse
from ..grids import PowerGrid
from .schedule import Schedule, as_time

__all__ = ["EDM", "VarianceExploding"]


@dataclass(frozen=True)
class VarianceExploding(Schedule):
    r"""Noise whose scale grows geometrically from the least to the most, for t from 0 to 1.

    .. math:: \alpha_t = 1, \qquad \sigma_t = \sigma_0 (\sigma_1/\sigma_0)^t .

    Arguments:
        least: The scale at t = 0, positive: samples end with so much noise.
        most: The scale at t = 1, above ``least``.

    Raises:
        MixtureError: If the scales are not positive, finite and rising.

    Source: Song and Ermon (2019); Song et al. (2021).

    Example:
        >>> mx.diffusion.VarianceExploding(0.01, 100.0).sigma(0.5)
        tensor(1.0000, dtype=torch.float64)
    """

    least: float = 0.01
    most: float = 50.0

    def __post_init__(self) -> None:
        if not 0 < self.least < self.most < math.inf:
            refuse("least", "positive and below `most`", f"{self.least}, {self.most}")

    def alpha(self, t: Any) -> Tensor:
        return torch.ones_like(as_time(t))

    def variance(self, t: Any) -> Tensor:
        return torch.exp(2 * (math.log(self.least) + as_time(t) * self._growth))

    def time(self, log_snr: Any) -> Tensor:
        t = (-0.5 * as_time(log_snr) - math.log(self.least)) / self._growth
        return t.clamp(self.begin, self.end)

    @property
    def _growth(self) -> float:
        return math.log(self.most / self.least)


@dataclass(frozen=True)
class EDM(Schedule):
    r"""Time is the scale of the noise: :math:`\alpha_t = 1`, :math:`\sigma_t = t`, :math:`g_t = \sqrt{2t}`.

    Arguments:
        most: The greatest scale, positive: the end of time.

    Raises:
        MixtureError: If it is not positive and finite.

    Source: Karras, Aittala, Aila and Laine (2022).

    Example:
        >>> mx.diffusion.EDM().diffusion(2.0)
        tensor(2., dtype=torch.float64)
    """

    most: float = 80.0
    grid = PowerGrid()

    def __post_init__(self) -> None:
        if not 0 < self.most < math.inf:
            refuse("most", "positive and finite", self.most)

    @property
    def end(self) -> float:  # type: ignore[override]
        """The greatest scale of noise."""
        return self.most

    def alpha(self, t: Any) -> Tensor:
        return torch.ones_like(as_time(t))

    def variance(self, t: Any) -> Tensor:
        return as_time(t).square()

    def sigma(self, t: Any) -> Tensor:
        return as_time(t)

    def time(self, log_snr: Any) -> Tensor:
        return torch.exp(-0.5 * as_time(log_snr)).clamp(self.begin, self.end)
