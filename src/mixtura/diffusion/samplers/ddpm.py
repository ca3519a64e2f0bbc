r"""Denoising diffusion: a draw of :math:`q(x_s|x_t, \hat x_0)`, as if the expected clean draw were the clean draw.

With :math:`c = (\rho_s/\rho_t)^2`,

.. math:: x_s = \alpha_s(1 - c)\,\hat x_0 + c\,\frac{\alpha_s}{\alpha_t} x_t + \sigma_s\sqrt{1 - c}\,z .
"""

from __future__ import annotations

import math
from dataclasses import dataclass

from torch import Tensor

from ..places import Place
from .sampler import Draw, Here, Sampler

__all__ = ["DDPM"]


@dataclass(frozen=True)
class DDPM(Sampler):
    """Ancestral draws of the Gaussian that has the clean draw's mean in the clean draw's place.

    It takes :math:`p(x_0|x_t)` for a point; `Ancestral` does not.

    Source: Ho, Jain and Abbeel (2020), equations 6 and 7.
    """

    deterministic = False

    def step(self, here: Here, then: Place, draw: Draw) -> Tensor:
        now = here.place
        share = (then.ratio / now.ratio) ** 2
        kept = then.sigma / now.sigma * then.ratio / now.ratio  # share * alpha_s / alpha_t, where no signal is left too
        mean = then.alpha * (1 - share) * here.clean + kept * here.x
        return mean + then.sigma * math.sqrt(1 - share) * draw(here.x)
