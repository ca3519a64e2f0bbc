r"""The way from a noisy draw to its clean one, at a time between: :math:`q(x_s|x_t, x_0)`.

With :math:`c = (\rho_s/\rho_t)^2` and :math:`\rho = \sigma/\alpha`, of no matter what law of the clean draw,

.. math:: x_s = \alpha_s(1 - c)\,x_0 + c\,\frac{\alpha_s}{\alpha_t} x_t + \sigma_s\sqrt{1 - c}\,z .
"""

from __future__ import annotations

import math

from torch import Tensor

from .places import Place

__all__ = ["bridged"]


def bridged(x: Tensor, clean: Tensor, late: Place, early: Place, noise: Tensor) -> Tensor:
    """Returns draws at an earlier place, of rows at a late one and their clean draws, by standard normal numbers."""
    share = (early.ratio / late.ratio) ** 2
    kept = early.sigma / late.sigma * early.ratio / late.ratio  # share * alpha_s / alpha_t, where no signal is left too
    return early.alpha * (1 - share) * clean + kept * x + early.sigma * math.sqrt(1 - share) * noise
