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

import torch
from torch import Tensor

from ...errors import NotClosedForm
from ...mixture import Mixture
from ..models import Model
from ..places import Place

__all__ = ["Guidance", "Guided"]


class Guidance(ABC):
    """How a model learns of what was recorded: ``y``, of which ``observation`` says how.

    A rule of your own states `denoise`; or subclass `Rule` or `LikelihoodRule`, which see to records and shapes.
    """

    observation: Any
    y: Any

    def guide(self, model: Model) -> Model:
        """Returns the model of draws of which this was recorded.

        Raises:
            MixtureError: If the model cannot answer what the method has to ask.
        """
        return Guided(model, self)

    def check(self, model: Model, shape: tuple[int, ...]) -> None:
        """Refuses what was recorded where it does not fit rows of a shape; once, before they start."""
        return

    def likelihood(self, model: Model, x: Tensor, place: Place) -> Any:
        """Returns the Gaussian that stands for :math:`p(y|x_t)`: its ``mean`` and its ``log_prob(y)``.

        Raises:
            NotClosedForm: If the method has none.
        """
        raise NotClosedForm(f"{type(self).__name__} has no Gaussian in the place of p(y | x_t).")

    def reverse(self, model: Model, x: Tensor, late: Place, early: Place) -> Mixture:
        """Returns what stands for the reverse kernel :math:`p(x_s|x_t, y)`.

        Raises:
            NotClosedForm: If the method has none.
        """
        raise NotClosedForm(f"{type(self).__name__} has no reverse kernel: use another sampler than Ancestral.")

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
        self.guidance.check(self.model, shape)

    def event_shape(self, x: Tensor) -> torch.Size:
        return self.model.event_shape(x)

    def reverse(self, x: Tensor, late: Place, early: Place) -> Mixture:
        return self.guidance.reverse(self.model, x, late, early)

    def denoise(self, x: Tensor, place: Place) -> Tensor:
        return self.guidance.denoise(self.model, x, place)
