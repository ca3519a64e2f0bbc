r"""The likelihood of rows that are read alike, row by row, with all that is known of each as tensors of its own.

A row is what was recorded, how often it counts, what is known of its label, the tensors of its observation (the scales
of its errors, say) and its covariates z. Covariates move a parameter on the scale of real numbers, by its bijection b,

.. math:: \theta_{nk} = b\big(b^{-1}(\theta_k) + \beta_k^\top z_n\big), \qquad
    \pi_n = \mathrm{softmax}(\log\pi + \gamma^\top z_n) .
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

import torch
from torch import Tensor

from ..components import Family
from ..components.observation import Observation
from .slopes import Slopes

__all__ = ["Term"]


@dataclass(frozen=True, eq=False)
class Term:
    """Some rows, and how they are read.

    Arguments:
        data: Tensors led by N: rows, weights, what components are possible as zeros and minus infinities ``(N, K)``,
            covariates ``(N, Q)``, and the tensors of the observation.
        family: The family of the components.
        features: How many features a clean row has; none for numbers.
        observation: What stands between a draw and what is recorded, resolved.
        slopes: Which parameters covariates move.
    """

    data: tuple[Tensor, ...]
    family: Family
    features: int | None
    observation: Observation
    slopes: Slopes

    def log_prob(self, values: Mapping[str, Tensor], *data: Tensor) -> Tensor:
        """Returns what each row adds to the log-likelihood, ``(N, *S)``, given values ``(*S, ...)`` and its data."""
        return self.weighed(self.each(values, *data), data[1])

    def weighed(self, density: Tensor, weight: Tensor) -> Tensor:
        """Returns log-densities ``(N, *S)`` as often as rows count."""
        return density * weight.reshape(-1, *(1,) * (density.ndim - 1))

    def each(self, values: Mapping[str, Tensor], *data: Tensor) -> Tensor:
        """Returns the log-density of what was recorded of each row, ``(N, *S)``, in nats."""
        x, _, possible, covariates, *side = data
        leading = values["weights"].ndim - 1
        own = self.slopes.at(values, covariates, leading)
        components = self.family.made({name: own[name] for name in self.family.arguments(self.features)}, self.features)
        rows = x.reshape(len(x), *(1,) * leading, *x.shape[1:])
        read = self.observation.at(side).log_prob(components, rows)
        joint = own["weights"].log() + read + possible.reshape(len(x), *(1,) * leading, -1)
        return torch.logsumexp(joint, -1)
