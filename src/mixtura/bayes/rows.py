r"""The likelihood of rows that are read alike, row by row, with all that is known of each as tensors of its own.

A row is what was recorded, how often it counts, what is known of its label, the tensors of its observation (the scales
of its errors, say) and its covariates z. Covariates move a parameter on the scale of real numbers, by its bijection b,

.. math:: \theta_{nk} = b\big(b^{-1}(\theta_k) + \beta_k^\top z_n\big), \qquad
    \pi_n = \mathrm{softmax}(\log\pi + \gamma^\top z_n) .
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace

import torch
from torch import Tensor

from ..components import Component, Family
from ..components.observation import Observation
from ..mixture import Mixture
from .slopes import Slopes

__all__ = ["Term", "alike"]


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
        kept: The coordinates of clean rows that were recorded, where there are gaps; none for all.
    """

    data: tuple[Tensor, ...]
    family: Family
    features: int | None
    observation: Observation
    slopes: Slopes
    kept: Sequence[int] | None = None

    def log_prob(self, values: Mapping[str, Tensor], *data: Tensor) -> Tensor:
        """Returns what each row adds to the log-likelihood, ``(N, *S)``, given values ``(*S, ...)`` and its data."""
        return self.weighed(self.each(values, *data), data[1])

    def weighed(self, density: Tensor, weight: Tensor) -> Tensor:
        """Returns log-densities ``(N, *S)`` as often as rows count."""
        return density * weight.reshape(-1, *(1,) * (density.ndim - 1))

    def each(self, values: Mapping[str, Tensor], *data: Tensor) -> Tensor:
        """Returns the log-density of what was recorded of each row, ``(N, *S)``, in nats."""
        density = torch.logsumexp(self.joint(values, *data), -1)
        return density - self._log_recorded(values, *data) if self.observation.selects else density

    def joint(self, values: Mapping[str, Tensor], *data: Tensor) -> Tensor:
        """Returns the log-weight of each component and its log-density of what was recorded, ``(N, *S, K)``."""
        x, _, possible, covariates, *side = data
        leading = values["weights"].ndim - 1
        weights, components = self._at(values, covariates)
        components = components if self.kept is None else components.marginal(self.kept)
        observation, possible = self.observation.at(side), possible.reshape(len(x), *(1,) * leading, -1)
        if observation.selects:
            return observation.log_joint(Mixture._of(weights.log(), components), x) + possible
        rows = x.reshape(len(x), *(1,) * leading, *x.shape[1:])  # beside the components of each row
        read = observation.log_prob if observation.gaps else observation.density
        return weights.log() + read(components, rows) + possible

    def _at(self, values: Mapping[str, Tensor], covariates: Tensor) -> tuple[Tensor, Component]:
        """The weights and the components at covariates ``(N, Q)``."""
        own = self.slopes.at(values, covariates, values["weights"].ndim - 1)
        names = self.family.arguments(self.features)
        return own["weights"], self.family.made({name: own[name] for name in names}, self.features)

    def _log_recorded(self, values: Mapping[str, Tensor], *data: Tensor) -> Tensor:
        """The log-probability that a row is recorded at all."""
        weights, components = self._at(values, data[3])
        return self.observation.at(data[4:]).log_recorded(Mixture._of(weights.log(), components))


def alike(term: Term) -> Iterator[Term]:
    """Yields the rows of a term by what was recorded of them: rows of one kind have one formula."""
    kinds = term.observation.kinds(term.data[0])
    if kinds is None:
        yield term
        return
    for kind in kinds.unique(dim=0):
        if bool(kind.any()) or term.observation.selects:
            yield _of_kind(term, (kinds == kind).all(-1), kind.tolist())


def _of_kind(term: Term, which: Tensor, kind: list[int]) -> Term:
    x, weight, possible, covariates, *side = (one[which] for one in term.data)
    observation, x, kept = term.observation.at(side).of_kind(x, kind)
    data = (x, weight, possible, covariates, *observation.side)
    return replace(term, data=data, observation=observation, kept=kept)
