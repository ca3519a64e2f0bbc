r"""Denoising diffusion implicit models.

.. math:: x_s = \alpha_s\hat x_0 + \sqrt{\sigma_s^2 - \tau^2}\,\hat\varepsilon + \tau z, \qquad
    \tau = \eta\,\sigma_s\sqrt{1 - (\rho_s/\rho_t)^2}, \quad \rho = \sigma/\alpha .

With :math:`\eta = 0` this is Euler's method for the probability flow of :math:`x/\alpha` in :math:`\rho`, and with
:math:`\eta = 1` it is DDPM.
"""

from __future__ import annotations

import math
from dataclasses import dataclass

from torch import Tensor

from ...errors import refuse
from ..places import Place
from .sampler import Draw, Here, Sampler

__all__ = ["DDIM"]


@dataclass(frozen=True)
class DDIM(Sampler):
    r"""A step that keeps some of the noise it sees and draws the rest anew.

    Arguments:
        eta: :math:`\eta`, from 0, nothing anew, to 1. It scales the standard deviation of what is new, not the
            variance.

    Raises:
        MixtureError: If it is outside of [0, 1].

    Source: Song, Meng and Ermon (2021), equations 12 and 16.
    """

    eta: float = 0.0

    def __post_init__(self) -> None:
        if not 0 <= self.eta <= 1:
            refuse("eta", "from 0 to 1", self.eta)

    @property
    def deterministic(self) -> bool:  # type: ignore[override]
        """Whether nothing is drawn."""
        return self.eta == 0

    def step(self, here: Here, then: Place, draw: Draw) -> Tensor:
        kept = then.ratio / here.place.ratio
        new = self.eta * then.sigma * math.sqrt(1 - kept**2)
        mean = then.alpha * here.clean + math.sqrt(then.sigma**2 - new**2) * here.noise
        return mean if self.deterministic else mean + new * draw(here.x)
