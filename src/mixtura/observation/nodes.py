r"""Observations of which each outcome y can have come from a handful of clean values, or from a continuum seen as such.

With nodes :math:`x_q` and weights :math:`\omega_q` that may depend on row and component,

.. math:: p(y|k) = \sum_q \omega_q(y, k), \qquad E[f(x) | y, k] = \sum_q \frac{\omega_q}{\sum_p \omega_p} f(x_q).

For shifts by a few amounts this is exact; for an integral the nodes are those of a quadrature rule.
"""

from __future__ import annotations

from abc import abstractmethod
from dataclasses import dataclass
from typing import NamedTuple

import torch
from torch import Generator, Tensor

from ..components import Component
from ..components.observation import Observation, frame_of, over
from ..mixture import Mixture
from .base import weighted

__all__ = ["NodeObservation", "Nodes", "Points"]

_BYTES = 2**24  # of nodes at a time


class Nodes(NamedTuple):
    """Clean values ``(..., K, Q, *event)`` and the logarithms of their weights ``(..., K, Q)``."""

    x: Tensor
    log_weight: Tensor


@dataclass(frozen=True, eq=False, repr=False)
class Points(Component):
    """Distributions on single points: what is left where y and a node tell x exactly.

    The density of a point is infinite there and zero elsewhere, so `log_prob` is infinity or minus infinity.
    """

    location: Tensor  # (*B, K, *event)
    dimensions: int  # of an event

    @property
    def batch_shape(self) -> torch.Size:
        return self.location.shape[: self.location.ndim - self.dimensions]

    @property
    def event_shape(self) -> torch.Size:
        return self.location.shape[self.location.ndim - self.dimensions :]

    @property
    def parameters(self) -> int:
        return self.batch_shape[-1] * self.event_shape.numel()

    def log_prob(self, x: Tensor) -> Tensor:
        same = x.unsqueeze(-1 - self.dimensions) == self.location
        whole = same.flatten(-1).all(-1) if self.dimensions else same
        return torch.where(whole, torch.inf, -torch.inf).to(self.location.dtype)

    def draw(self, labels: Tensor, generator: Generator | None = None) -> Tensor:
        axis = labels.ndim
        points = self.location.expand(*labels.shape, *self.location.shape[len(self.batch_shape) - 1 :])
        index = labels.reshape(*labels.shape, *(1,) * (1 + self.dimensions))
        return points.gather(axis, index.expand(*labels.shape, 1, *self.event_shape)).squeeze(axis)

    @property
    def mean(self) -> Tensor:
        return self.location

    @property
    def variance(self) -> Tensor:
        return torch.zeros_like(self.location)


class NodeObservation(Observation):
    """An observation that says which clean values an outcome can have come from, and how likely each is."""

    @abstractmethod
    def nodes(self, components: Component, y: Tensor) -> Nodes:
        """Returns the nodes of recorded rows ``(*S, *B, *event)``; resolved only."""

    @property
    @abstractmethod
    def count(self) -> int:
        """The number of nodes of a row and a component."""

    def log_prob(self, components: Component, y: Tensor) -> Tensor:
        if not self._large(components, y):
            return torch.logsumexp(self.nodes(components, y).log_weight, -1)
        pieces = self._pieces(components, y)
        return torch.cat([torch.logsumexp(one.nodes(components, rows).log_weight, -1) for one, rows in pieces])

    def clean_moments(self, components: Component, y: Tensor) -> tuple[Tensor, Tensor]:
        gaussian = components.gaussian_law
        parts = []
        for one, rows in self._pieces(components, y):
            x, log_weight = one.nodes(components, rows)
            gap = x if components.event_shape else x.unsqueeze(-1)
            gap = gap - gaussian.location.unsqueeze(-2)
            share = torch.softmax(log_weight, -1).unsqueeze(-1)
            parts.append(((share * gap).sum(-2), (share * gap).mT @ gap))
        shift, second = zip(*parts, strict=True)
        return torch.cat(shift), torch.cat(second)

    def complete(self, components: Component, y: Tensor, r: Tensor) -> tuple[Tensor, ...]:
        return weighted(components.gaussian_law, r, *self.clean_moments(components, over(y, components)))

    def posterior(self, mixture: Mixture, y: Tensor) -> Mixture:
        """Returns the distribution of the clean value given y: a mixture of points, one per component and node."""
        resolved = self.resolve(frame_of(mixture.components))
        x, log_weight = resolved.nodes(mixture.components, y)  # type: ignore[attr-defined]
        joint = (mixture.logits.unsqueeze(-1) + log_weight).flatten(-2)
        dimensions = len(mixture.event_shape)
        x = x.expand(*log_weight.shape, *mixture.event_shape)
        points = Points._of(location=x.flatten(log_weight.ndim - 2, log_weight.ndim - 1), dimensions=dimensions)
        return Mixture._of(torch.log_softmax(joint, -1), points)

    def _large(self, components: Component, y: Tensor) -> bool:
        return y.ndim > len(components.event_shape) and len(y) > self._height(components, y)

    def _height(self, components: Component, y: Tensor) -> int:
        row = y[:1].numel() * components.batch_shape.numel() * self.count * 8
        return max(1, _BYTES // max(1, row))

    def _pieces(self, components: Component, y: Tensor) -> list[tuple[NodeObservation, Tensor]]:
        """The rows in pieces whose nodes fit into a cache, each with its observation."""
        size = self._height(components, y)
        if self.side and len(y) != len(self.side[0]):
            return [(self, y)]
        parts = [slice(start, start + size) for start in range(0, len(y), size)]
        return [(self.at([tensor[some] for tensor in self.side]), y[some]) for some in parts]
