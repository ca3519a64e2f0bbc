r"""The times at which samplers stop on their way from noise to draws.

Each grid is a falling sequence of N + 1 times that ends at the schedule's `begin`. With :math:`u_i = i/N` and the ratio
:math:`\rho_t = \sigma_t/\alpha_t`, the noise in units of the draw,

=============  =================================================================================================
`Uniform`      :math:`t_i` falls along a line
`CosineGrid`   :math:`t_i = T(1 - \sin\tfrac\pi2 u_i)`: steps that shorten towards the draws
`PowerGrid`    :math:`\rho_i^{1/p}` falls along a line to the least ratio, then to 0; p = 7 in EDM
`LogSNRGrid`   :math:`\log\rho_i` falls along a line to the least ratio, then to 0
=============  =================================================================================================

A logarithm has no end, so the last two have a least ratio, and a greatest one where the schedule's end has none.
"""

from __future__ import annotations

import math
from abc import ABC, abstractmethod
from dataclasses import dataclass
from typing import TYPE_CHECKING

import torch
from torch import Tensor

from ..errors import refuse

if TYPE_CHECKING:
    from .schedules import Schedule

__all__ = ["CosineGrid", "Grid", "LogSNRGrid", "PowerGrid", "Uniform"]


class Grid(ABC):
    """How times are spaced."""

    def times(self, schedule: Schedule, steps: int) -> Tensor:
        """Returns ``steps + 1`` falling times in float64, the last of which is the schedule's `begin`.

        Raises:
            MixtureError: If ``steps`` is not a whole number of at least 1.
        """
        if isinstance(steps, bool) or not isinstance(steps, int) or steps < 1:
            refuse("steps", "a whole number of at least 1", repr(steps))
        return torch.cat([self.spaced(schedule, steps), torch.tensor([schedule.begin], dtype=torch.float64)])

    @abstractmethod
    def spaced(self, schedule: Schedule, steps: int) -> Tensor:
        """Returns the times but the last."""


@dataclass(frozen=True)
class Uniform(Grid):
    """Times at equal distances.

    Example:
        >>> mx.diffusion.Uniform().times(mx.diffusion.RectifiedFlow(), 2)
        tensor([1.0000, 0.5000, 0.0000], dtype=torch.float64)
    """

    def spaced(self, schedule: Schedule, steps: int) -> Tensor:
        return torch.linspace(schedule.end, schedule.begin, steps + 1, dtype=torch.float64)[:-1]


@dataclass(frozen=True)
class CosineGrid(Grid):
    """Times whose distances shorten towards the draws, as a quarter of a cosine.

    Example:
        >>> mx.diffusion.CosineGrid().times(mx.diffusion.RectifiedFlow(), 2)
        tensor([1.0000, 0.2929, 0.0000], dtype=torch.float64)
    """

    def spaced(self, schedule: Schedule, steps: int) -> Tensor:
        u = torch.arange(steps, dtype=torch.float64) / steps
        return schedule.begin + (schedule.end - schedule.begin) * (1 - torch.sin(0.5 * math.pi * u))


@dataclass(frozen=True)
class PowerGrid(Grid):
    r"""Noise whose p-th root falls along a line.

    Arguments:
        power: p, positive: the larger, the more of the steps are near the draws.
        least: The ratio :math:`\sigma/\alpha` before the last step, positive.
        most: The greatest ratio; the schedule's own end, where that is less.

    Source: Karras, Aittala, Aila and Laine (2022), equation 5.

    Example:
        >>> mx.diffusion.PowerGrid().times(mx.diffusion.EDM(), 3)
        tensor([8.0000e+01, 2.5152e+00, 2.0000e-03, 0.0000e+00], dtype=torch.float64)
    """

    power: float = 7.0
    least: float = 0.002
    most: float = 80.0

    def __post_init__(self) -> None:
        if not self.power > 0:
            refuse("power", "positive", self.power)
        _check(self.least, self.most)

    def spaced(self, schedule: Schedule, steps: int) -> Tensor:
        line = _line(schedule, steps, *(ratio ** (1 / self.power) for ratio in _ends(schedule, self.most, self.least)))
        return _at_ratios(schedule, line**self.power)


@dataclass(frozen=True)
class LogSNRGrid(Grid):
    r"""Times at equal distances of the log signal-to-noise ratio.

    Arguments:
        least: The ratio :math:`\sigma/\alpha` before the last step, positive.
        most: The greatest ratio; the schedule's own end, where that is less.

    Source: Lu et al. (2022).

    Example:
        >>> mx.diffusion.LogSNRGrid(least=0.02, most=2.0).times(mx.diffusion.EDM(), 3)
        tensor([2.0000, 0.2000, 0.0200, 0.0000], dtype=torch.float64)
    """

    least: float = 0.002
    most: float = 80.0

    def __post_init__(self) -> None:
        _check(self.least, self.most)

    def spaced(self, schedule: Schedule, steps: int) -> Tensor:
        line = _line(schedule, steps, *map(math.log, _ends(schedule, self.most, self.least)))
        return _at_ratios(schedule, line.exp())


def _check(least: float, most: float) -> None:
    if not 0 < least < most < math.inf:
        refuse("least", "positive and below `most`", f"{least}, {most}")


def _ends(schedule: Schedule, most: float, least: float) -> tuple[float, float]:
    """The greatest and the least ratio that the schedule reaches, within these."""
    last, first = (float(torch.exp(-0.5 * schedule.log_snr(t))) for t in (schedule.end, schedule.begin))
    return min(most, last), max(least, first)


def _line(schedule: Schedule, steps: int, high: float, low: float) -> Tensor:
    """So many falling numbers: to the low one, or to one before it where the schedule begins there."""
    begins = float(schedule.variance(schedule.begin)) > 0
    return torch.linspace(high, low, steps + begins, dtype=torch.float64)[:steps]


def _at_ratios(schedule: Schedule, ratio: Tensor) -> Tensor:
    return schedule.time(-2 * ratio.log())
