r"""Schedules that preserve the variance of data of variance one: :math:`\alpha_t^2 + \sigma_t^2 = 1`."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor

from ...errors import refuse
from .schedule import Schedule, as_time

__all__ = ["Cosine", "VariancePreserving"]


@dataclass(frozen=True)
class VariancePreserving(Schedule):
    r"""A rate of noise that rises along a line, :math:`\beta_t = \beta_0 + t(\beta_1 - \beta_0)` for t from 0 to 1.

    .. math:: B_t = \int_0^t \beta = \beta_0 t + \tfrac12(\beta_1 - \beta_0)t^2, \qquad
        \alpha_t = e^{-B_t/2}, \qquad \sigma_t^2 = 1 - e^{-B_t}, \qquad f_t = -\tfrac12\beta_t, \quad g_t^2 = \beta_t .

    Arguments:
        beta_min: :math:`\beta_0 \ge 0`.
        beta_max: :math:`\beta_1 > 0`, no less than :math:`\beta_0`.

    Raises:
        MixtureError: If the rates are negative, not finite, or fall.

    Source: Ho, Jain and Abbeel (2020); Song et al. (2021).

    Example:
        >>> schedule = mx.diffusion.VariancePreserving()
        >>> schedule.alpha(1.0), schedule.diffusion(1.0)
        (tensor(0.1729, dtype=torch.float64), tensor(2.6458, dtype=torch.float64))
        >>> schedule.time(schedule.log_snr(0.25))
        tensor(0.2500, dtype=torch.float64)
    """

    beta_min: float = 0.02
    beta_max: float = 7.0

    def __post_init__(self) -> None:
        if not 0 <= self.beta_min <= self.beta_max < math.inf or self.beta_max == 0:
            refuse("beta_min", "at least 0 and at most `beta_max`", f"{self.beta_min}, {self.beta_max}")

    def alpha(self, t: Any) -> Tensor:
        return torch.exp(-0.5 * self._integral(as_time(t)))

    def variance(self, t: Any) -> Tensor:
        return -torch.expm1(-self._integral(as_time(t)))

    def log_snr(self, t: Any) -> Tensor:
        return -torch.expm1(self._integral(as_time(t))).log()

    def time(self, log_snr: Any) -> Tensor:
        """Solves the quadratic :math:`B_t = \\log(1 + e^{-\\log\\mathrm{SNR}})` for t, without cancellation."""
        integral, slope = torch.nn.functional.softplus(-as_time(log_snr)), self.beta_max - self.beta_min
        t = 2 * integral / (self.beta_min + (self.beta_min**2 + 2 * slope * integral).sqrt())
        return t.clamp(self.begin, self.end)

    def noise_scale(self, t: Any) -> Tensor:
        return torch.ones_like(as_time(t))

    def _integral(self, t: Tensor) -> Tensor:
        return t * (self.beta_min + 0.5 * t * (self.beta_max - self.beta_min))


@dataclass(frozen=True)
class Cosine(Schedule):
    r"""A signal that falls as a cosine.

    .. math:: \alpha_t = \cos\Big(\frac\pi2\,\frac{t+s}{1+s}\Big) \Big/ \cos\Big(\frac\pi2\,\frac{s}{1+s}\Big)

    The rate of noise is infinite at t = 1, where no signal is left; `end` is where it has fallen to ``least``.

    Arguments:
        offset: s > 0, which keeps the first steps from being too small.
        least: The signal that is left at the end, above 0 and below 1.

    Raises:
        MixtureError: If one of them is outside of its range.

    Source: Nichol and Dhariwal (2021).

    Example:
        >>> mx.diffusion.Cosine().alpha(torch.tensor([0.0, 0.5]))
        tensor([1.0000, 0.7027])
    """

    offset: float = 0.008
    least: float = 1e-3

    def __post_init__(self) -> None:
        if not 0 < self.offset < math.inf:
            refuse("offset", "positive and finite", self.offset)
        if not 0 < self.least < 1:
            refuse("least", "above 0 and below 1", self.least)

    @property
    def end(self) -> float:  # type: ignore[override]
        """The time at which the signal has fallen to ``least``."""
        return self._when(math.acos(self.least * self._first))

    def alpha(self, t: Any) -> Tensor:
        return torch.cos(self._angle(as_time(t))) / self._first

    def variance(self, t: Any) -> Tensor:
        r"""Returns :math:`1 - \alpha_t^2`, as a product of sines that keeps its digits at small times."""
        t = as_time(t)
        first, grown = 0.5 * math.pi * self.offset / (1 + self.offset), 0.5 * math.pi / (1 + self.offset) * t
        return torch.sin(grown) * torch.sin(grown + 2 * first) / self._first**2

    def time(self, log_snr: Any) -> Tensor:
        alpha = torch.sigmoid(as_time(log_snr)).sqrt()
        t = self._when(torch.acos((alpha * self._first).clamp(-1, 1)))
        return t.clamp(self.begin, self.end)

    def noise_scale(self, t: Any) -> Tensor:
        return torch.ones_like(as_time(t))

    @property
    def _first(self) -> float:
        return math.cos(0.5 * math.pi * self.offset / (1 + self.offset))

    def _angle(self, t: Tensor) -> Tensor:
        return 0.5 * math.pi * (t + self.offset) / (1 + self.offset)

    def _when(self, angle: Any) -> Any:
        return angle * (1 + self.offset) / (0.5 * math.pi) - self.offset
