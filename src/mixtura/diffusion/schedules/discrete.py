r"""A schedule by a list of rates, as denoising diffusion states it.

With rates :math:`\beta_1, \dots, \beta_N`, and B a line between the values
:math:`B_n = -\sum_{i \le n}\log(1 - \beta_i)`,

.. math:: t = n/N, \qquad \alpha_t^2 = e^{-B_{tN}}, \qquad \sigma_t^2 = 1 - e^{-B_{tN}} .

At the N + 1 times n/N it is the list, exactly; the rate of noise is constant between them.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor

from ...errors import refuse
from .schedule import Schedule, as_time

__all__ = ["Discrete"]


@dataclass(frozen=True)
class Discrete(Schedule):
    r"""Rates of noise one by one, in any order; variance is preserved.

    Arguments:
        rates: :math:`\beta_n`, each above 0 and below 1.

    Raises:
        MixtureError: If there is none, or one is outside of its range.

    Source: Ho, Jain and Abbeel (2020).

    Example:
        >>> mx.diffusion.Discrete((0.5, 0.75)).alpha(torch.tensor([0.0, 0.5, 1.0])).square()
        tensor([1.0000, 0.5000, 0.1250])
    """

    rates: Sequence[float]

    def __post_init__(self) -> None:
        rates = tuple(float(rate) for rate in self.rates)
        if not rates or not all(0 < rate < 1 for rate in rates):
            refuse("rates", "one or more numbers above 0 and below 1", rates[:5] if rates else "none")
        object.__setattr__(self, "rates", rates)

    def __repr__(self) -> str:
        return f"Discrete({len(self.rates)} rates, {self.rates[0]:g} to {self.rates[-1]:g})"

    def alpha(self, t: Any) -> Tensor:
        return torch.exp(-0.5 * self._integral(as_time(t)))

    def variance(self, t: Any) -> Tensor:
        return -torch.expm1(-self._integral(as_time(t)))

    def log_snr(self, t: Any) -> Tensor:
        return -torch.expm1(self._integral(as_time(t))).log()

    def noise_scale(self, t: Any) -> Tensor:
        return torch.ones_like(as_time(t))

    def _integral(self, t: Tensor) -> Tensor:
        steps = -torch.log1p(-torch.tensor(self.rates, dtype=torch.float64, device=t.device))
        before = torch.cat([steps.new_zeros(1), steps.cumsum(0)])
        place = t * len(steps)
        at = place.detach().long().clamp(0, len(steps) - 1)
        return (before[at].to(t.dtype) + (place - at) * steps[at].to(t.dtype)).clamp_min(0)
