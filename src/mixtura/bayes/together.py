r"""One of Mixtura's conjugate priors on all parameters of the components at once.

A conjugate prior is a density in coordinates :math:`\eta` of its own: natural parameters, or means and the free entries
of covariances. In the parameters by name it is

.. math:: \log p(\theta) = \sum_k \log p\big(\eta(\theta_k)\big) + \log\big|d\eta/d\theta_k\big| .
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import torch
from torch import Generator, Tensor
from torch.distributions import transform_to

from ..components import Component, Family
from ..priors import ComponentsPrior

__all__ = ["Together"]


@dataclass(frozen=True, eq=False)
class Together:
    """A prior of components.

    Arguments:
        prior: The prior.
        family: The family of the components.
        features: How many features a row has; none for numbers.
        components: K.
    """

    prior: ComponentsPrior
    family: Family
    features: int | None
    components: int

    def log_prob(self, values: Mapping[str, Tensor]) -> Tensor:
        """Returns the log-density ``(*S,)`` of values ``(*S, K, ...)`` by name, in nats."""
        names = self.family.arguments(self.features)
        components: Any = self.family.made({name: values[name] for name in names}, self.features)
        return self.prior.log_prob(components) + components.log_volume.sum(-1)

    def sample(self, count: int, generator: Generator | None) -> dict[str, Tensor]:
        """Returns ``count`` draws of every parameter by name."""
        return self.family.read(self.prior.sample(self._some(count), generator))

    def _some(self, count: int) -> Component:
        """Any components of the family, a batch of ``count``, that draws are shaped as."""
        values: dict[str, Tensor] = {}
        for name, one in self.family.arguments(self.features).items():
            lead = (count, 1 if one.shared else self.components)
            neutral = torch.zeros(*lead, *one.shape, dtype=torch.float64)
            values[name] = transform_to(one.support)(neutral) if len(one.shape) < 2 else _unit(neutral)
        return self.family.made(values, self.features)


def _unit(neutral: Tensor) -> Tensor:
    """Identity matrices in the place of zeros."""
    return torch.eye(neutral.shape[-1], dtype=neutral.dtype).expand(neutral.shape)
