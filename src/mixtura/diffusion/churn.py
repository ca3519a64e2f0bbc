r"""Stochastic churn: noise added before a step, and time turned back to match.

In the ratio :math:`\rho = \sigma/\alpha`, with :math:`\gamma = \min(S_\text{churn}/N, \sqrt2 - 1)` for a step of N
whose ratio is within :math:`[S_\min, S_\max]`, and 0 elsewhere,

.. math:: \hat\rho = \rho(1 + \gamma), \qquad
    \hat x = \frac{\alpha(\hat t)}{\alpha(t)}x + \alpha(\hat t)\sqrt{\hat\rho^2 - \rho^2}\;S_\text{noise}\,z .

With :math:`S_\text{noise} = 1` a draw of :math:`p_t` becomes a draw of :math:`p_{\hat t}`, exactly.
"""

from __future__ import annotations

import math
import warnings
from dataclasses import dataclass

import torch
from torch import Tensor

from ..errors import refuse
from .places import Place, place
from .samplers.sampler import Draw
from .schedules import Schedule

__all__ = ["Churn"]


@dataclass(frozen=True)
class Churn:
    r"""How much noise is added before each step of a deterministic sampler.

    Arguments:
        amount: :math:`S_\text{churn} \ge 0`, over all steps; of one step, no more than a ratio :math:`\sqrt2` larger.
        least: :math:`S_\min`, the least ratio :math:`\sigma/\alpha` at which noise is added.
        most: :math:`S_\max`, the greatest.
        noise: :math:`S_\text{noise}`, the scale of what is added: 1 is exact.

    Raises:
        MixtureError: If a number is negative, or ``least`` is above ``most``.

    Source: Karras, Aittala, Aila and Laine (2022), algorithm 2, in the units of its scaled processes.
    """

    amount: float
    least: float = 0.0
    most: float = math.inf
    noise: float = 1.0

    def __post_init__(self) -> None:
        for name in ("amount", "least", "noise"):
            if not getattr(self, name) >= 0:
                refuse(name, "at least 0", getattr(self, name))
        if not self.least <= self.most:
            refuse("least", "at most `most`", f"{self.least}, {self.most}")

    def check(self, stops: list[Place]) -> None:
        """Warns where no step is within the window."""
        if self.amount > 0 and not any(self.least <= one.ratio <= self.most for one in stops[:-1]):
            found = f"{stops[-2].ratio:.3g} to {stops[0].ratio:.3g}"
            warnings.warn(
                f"No step is churned: the ratios sigma/alpha of the grid go from {found}, and the window is "
                f"[{self.least:g}, {self.most:g}].",
                stacklevel=4,
            )

    def __call__(self, x: Tensor, now: Place, schedule: Schedule, steps: int, draw: Draw) -> tuple[Tensor, Place]:
        """Returns the rows with more noise, and the place to which they are turned back."""
        more = min(self.amount / steps, math.sqrt(2) - 1) if self.least <= now.ratio <= self.most else 0.0
        if more == 0 or not math.isfinite(now.ratio):
            return x, now
        back = schedule.time(torch.tensor(-2 * math.log(now.ratio * (1 + more)), dtype=torch.float64))
        there = place(schedule, back)
        added = there.alpha * math.sqrt(max(0.0, there.ratio**2 - now.ratio**2))
        return there.alpha / now.alpha * x + added * self.noise * draw(x), there
