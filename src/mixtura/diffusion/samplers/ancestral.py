r"""Draws of the exact reverse kernel, :math:`x_s \sim p(x_s|x_t)`."""

from __future__ import annotations

from dataclasses import dataclass

from torch import Tensor

from ..places import Place
from .sampler import Draw, Here, Sampler

__all__ = ["Ancestral"]


@dataclass(frozen=True)
class Ancestral(Sampler):
    """A chain of exact draws back in time: no error of discretisation, in one step or a thousand.

    Raises:
        NotClosedForm: If the model is not a mixture.

    Source: the reverse kernel of a Gaussian mixture is one (see `Process`).
    """

    deterministic = False

    def step(self, here: Here, then: Place, draw: Draw) -> Tensor:
        return here.model.draw_earlier(here.x, here.place, then, draw.generator)
