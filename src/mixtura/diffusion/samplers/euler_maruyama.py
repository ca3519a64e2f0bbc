r"""The reverse stochastic equation, :math:`dx = (f x - g^2\nabla\log p_t)\,dt + g\,d\bar w`."""

from __future__ import annotations

import math
from dataclasses import dataclass

from torch import Tensor

from ...errors import refuse
from ..places import Place
from .sampler import Draw, Here, Sampler

__all__ = ["EulerMaruyama"]


@dataclass(frozen=True)
class EulerMaruyama(Sampler):
    """Euler and Maruyama's method for the reverse stochastic equation; of weak order 1.

    Raises:
        MixtureError: If drift or diffusion is infinite at a time of the grid, as where no signal is left.

    Source: Anderson (1982); Song et al. (2021).
    """

    deterministic = False

    def step(self, here: Here, then: Place, draw: Draw) -> Tensor:
        now = here.place
        if not math.isfinite(now.diffusion):
            refuse(
                "grid",
                "of times at which drift and diffusion are finite",
                f"t = {now.t:g}",
                "Start where some signal is left: PowerGrid() and LogSNRGrid() do.",
            )
        span, score = now.t - then.t, -here.noise / now.sigma
        mean = here.x - span * (now.drift * here.x - now.diffusion**2 * score)
        return mean + now.diffusion * math.sqrt(span) * draw(here.x)
