r"""The exact posterior: a mixture's own :math:`p(x_0|y)`, whose denoiser and reverse kernel are known."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from torch import Tensor

from ..models import Model
from ..places import Place
from .guidance import Guidance

__all__ = ["ExactGuidance"]


@dataclass(frozen=True, eq=False)
class ExactGuidance(Guidance):
    """What was recorded, learned without an approximation.

    Arguments:
        observation: How y was recorded, such as ``mx.observation.LinearMeasurement(A, variance)``.
        y: What was recorded: ``(M,)``.

    Raises:
        NotClosedForm: If the model is not a mixture.
    """

    observation: Any
    y: Tensor

    def guide(self, model: Model) -> Model:
        return model.given(self.observation, self.y)

    def denoise(self, model: Model, x: Tensor, place: Place) -> Tensor:
        return self.guide(model).denoise(x, place)
