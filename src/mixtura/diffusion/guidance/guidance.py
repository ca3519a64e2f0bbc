r"""What guidance is: an answer to :math:`E[x_0|x_t, y]`, where the model knows :math:`E[x_0|x_t]`.

By Bayes' rule and Tweedie's,

.. math:: E[x_0|x_t, y] = E[x_0|x_t] + \frac{\sigma^2}{\alpha}\nabla_{x_t}\log p(y|x_t),
    \qquad p(y|x_t) = \int p(y|x_0)\,p(x_0|x_t)\,dx_0 .

So every rule that approximates the likelihood :math:`p(y|x_t)` is a model again, and goes with every sampler.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from torch import Tensor

from ..models import Model
from ..places import Place

__all__ = ["Guidance", "Guided"]


class Guidance(ABC):
    """How a model learns of what was recorded."""

    def guide(self, model: Model) -> Model:
        """Returns the model of draws of which this was recorded.

        Raises:
            MixtureError: If the model cannot answer what the method has to ask.
        """
        return Guided(model, self)

    @abstractmethod
    def denoise(self, model: Model, x: Tensor, place: Place) -> Tensor:
        """Returns what stands for :math:`E[x_0|x_t, y]`, row by row: no row may depend on the others."""


@dataclass(frozen=True, eq=False)
class Guided(Model):
    """A model under guidance.

    Arguments:
        model: The model of all draws.
        guidance: How it learns of what was recorded.
    """

    model: Model
    guidance: Guidance

    @property
    def kind(self) -> Mapping[str, Any]:  # type: ignore[override]
        """As the model's."""
        return self.model.kind

    def check(self, shape: tuple[int, ...]) -> None:
        self.model.check(shape)

    def denoise(self, x: Tensor, place: Place) -> Tensor:
        return self.guidance.denoise(self.model, x, place)
