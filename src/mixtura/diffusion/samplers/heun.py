r"""Heun's method for the probability flow of :math:`x/\alpha` in the ratio :math:`\rho = \sigma/\alpha`.

There the flow is :math:`d(x/\alpha)/d\rho = \hat\varepsilon`, and a step is a trapezium, but for one that ends
without noise, where the slope cannot be asked, or starts without signal, where the ratio is infinite.
"""

from __future__ import annotations

import math
from dataclasses import dataclass

from torch import Tensor

from ..places import Place
from .sampler import Draw, Here, Sampler

__all__ = ["Heun"]


@dataclass(frozen=True)
class Heun(Sampler):
    """The trapezium rule in the ratio of noise to signal; of order 2, for two questions to the model a step.

    Source: Karras, Aittala, Aila and Laine (2022), algorithm 2.
    """

    def step(self, here: Here, then: Place, draw: Draw) -> Tensor:
        first = then.alpha * here.clean + then.sigma * here.noise
        if then.sigma == 0 or not math.isfinite(here.place.ratio):
            return first
        after = here.at(first, then)
        return first + 0.5 * (then.sigma - then.alpha * here.place.ratio) * (after.noise - here.noise)
