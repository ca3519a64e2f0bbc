r"""The probability flow in equal steps of time, :math:`x_s = x_t - (t - s)\,v_t`."""

from __future__ import annotations

from dataclasses import dataclass

from torch import Tensor

from ..places import Place
from .sampler import Draw, Here, Sampler

__all__ = ["Euler"]


@dataclass(frozen=True)
class Euler(Sampler):
    r"""Euler's method for the probability flow, :math:`v = \alpha'\hat x_0 + \sigma'\hat\varepsilon`; of order 1.

    Source: Song et al. (2021).
    """

    def step(self, here: Here, then: Place, draw: Draw) -> Tensor:
        now = here.place
        return here.x - (now.t - then.t) * (now.alpha_rate * here.clean + now.sigma_rate * here.noise)
