"""What the update of components may be given beside the sums over rows: a conjugate prior, or a ridge."""

from __future__ import annotations

from abc import ABC, abstractmethod
from typing import TYPE_CHECKING

import torch
from torch import Generator, Tensor

from .._value import Value
from ..components.base import Component
from ..components.statistics import Statistics
from ..errors import refuse

if TYPE_CHECKING:
    from .conjugate import ConjugatePosterior

__all__ = ["ComponentsPrior"]


class ComponentsPrior(Value, ABC):
    """Pseudo-rows for the components of a mixture, the same and independent for all of them."""

    @property
    def monotone(self) -> bool:
        """Whether no update under it lowers the log-likelihood plus `log_prob`."""
        return True

    @abstractmethod
    def log_prob(self, components: Component) -> Tensor:
        """Returns what it adds to the objective of MAP estimates, in nats, with shape ``(*B,)``."""

    def penalised(self, components: Component, curvature: Tensor, slope: Tensor) -> tuple[Tensor, Tensor]:
        """Returns curvature and slope of the expected log-likelihood of generalised regressions with its own added.

        Raises:
            MixtureError: If it says nothing of coefficients.
        """
        refuse("prior", f"mx.priors.NormalCoefficients for {type(components).__name__} components", self)

    def posterior(self, statistics: Statistics, components: Component) -> ConjugatePosterior:
        """Returns the law of the parameters given sums over rows.

        Raises:
            MixtureError: If it has no density.
        """
        refuse("prior", "a prior with conjugate components", self, "See `mx.NormalInverseWishart` and `mx.Conjugate`.")

    def alone(self, components: Component) -> ConjugatePosterior:
        """Returns the prior itself as a law: the posterior given no rows."""
        return self.posterior(_no_rows(components), components)

    def sample(self, template: Component, generator: Generator | None = None) -> Component:
        """Draws parameters for components of the template's family, batch shape ``(*B, K)`` and settings."""
        return self.alone(template).draw(generator)

    def of_parts(self, count: int) -> tuple[ComponentsPrior | None, ...]:
        """Returns the priors of so many parts: of a product of families, or of gated components and their gate.

        Raises:
            MixtureError: If it is not a prior of so many parts.
        """
        refuse("prior", f"a JointPrior of {count} parts, for a Product or Gated components", self)


def _no_rows(components: Component) -> Statistics:
    batch = components.batch_shape
    x = torch.zeros(0, *components.event_shape, dtype=components.dtype, device=components.device)
    r = x.new_zeros(0, *batch)
    weight = torch.zeros(batch, dtype=torch.float64, device=components.device)
    return Statistics(weight.sum(-1), weight, components.statistics(x, r))
