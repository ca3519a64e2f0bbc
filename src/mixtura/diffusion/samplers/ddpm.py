r"""Denoising diffusion: a draw of :math:`q(x_s|x_t, \hat x_0)`, as if the expected clean draw were the clean draw."""

from __future__ import annotations

from dataclasses import dataclass

from torch import Tensor

from ..bridge import bridged
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
        return bridged(here.x, here.clean, here.place, then, draw(here.x))
