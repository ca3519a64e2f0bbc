"""Any ``torch.distributions.Distribution`` whose last batch dimension is K, as a family of components."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import torch
from torch import Generator, Tensor
from torch.distributions import Distribution

from ..errors import refuse
from .base import Component

__all__ = ["TorchComponent"]


@dataclass(frozen=True, eq=False, repr=False, init=False)
class TorchComponent(Component):
    """K components given by one batched torch distribution.

    Arguments:
        distribution: A distribution with batch shape ``(*B, K)`` and at most one event dimension.

    Raises:
        MixtureError: If the distribution has no batch dimension or more than one event dimension.

    Example:
        >>> gammas = torch.distributions.Gamma(torch.tensor([1.0, 2.0]), torch.tensor([1.0, 1.0]))
        >>> mx.components.TorchComponent(gammas).mean
        tensor([1., 2.])
    """

    distribution: Distribution

    def __init__(self, distribution: Distribution) -> None:
        if not isinstance(distribution, Distribution) or not distribution.batch_shape:
            refuse(
                "components",
                "a component family, or a torch distribution whose last batch dimension is K",
                distribution,
            )
        if len(distribution.event_shape) > 1:
            refuse("components", "a distribution of numbers or vectors", f"event shape {distribution.event_shape}")
        object.__setattr__(self, "distribution", distribution)

    @property
    def batch_shape(self) -> torch.Size:
        return self.distribution.batch_shape

    @property
    def event_shape(self) -> torch.Size:
        return self.distribution.event_shape

    @property
    def parameters(self) -> int:
        """The number of values in the distribution's own parameters, per batch entry."""
        entries = max(1, self.batch_shape[:-1].numel())
        return sum(tensor.numel() for tensor in _parameters(self.distribution).values()) // entries

    @property
    def dtype(self) -> torch.dtype:
        return self.distribution.mean.dtype

    @property
    def device(self) -> torch.device:
        return self.distribution.mean.device

    @property
    def mean(self) -> Tensor:
        return self.distribution.mean

    @property
    def variance(self) -> Tensor:
        return self.distribution.variance

    @property
    def covariance(self) -> Tensor:
        matrix = getattr(self.distribution, "covariance_matrix", None)
        return super().covariance if matrix is None else matrix

    def requires_grad(self) -> bool:
        return any(tensor.requires_grad for tensor in _parameters(self.distribution).values())

    def log_prob(self, x: Tensor) -> Tensor:
        return self.distribution.log_prob(x.unsqueeze(-1 - len(self.event_shape)))

    def draw(self, labels: Tensor, generator: Generator | None = None) -> Tensor:
        """Draws from every component and keeps the chosen: torch's samplers cannot draw from one.

        torch's samplers take no generator; a given one seeds torch's own stream for the length of this call.
        """
        sample = labels.shape[: labels.ndim - len(self.batch_shape) + 1]
        with torch.random.fork_rng(enabled=generator is not None):
            if generator is not None:
                torch.manual_seed(int(torch.randint(2**62, (), generator=generator)))
            every = self.distribution.sample(sample)
        index = labels.reshape(*labels.shape, 1, *(1,) * len(self.event_shape))
        index = index.expand(*labels.shape, 1, *self.event_shape)
        return every.gather(labels.ndim, index).squeeze(labels.ndim)

    def cdf(self, x: Tensor) -> Tensor:
        return self.distribution.cdf(x.unsqueeze(-1))

    def take(self, index: Any) -> TorchComponent:
        raise self._no("selection of single components")

    def map(self, function: Any) -> TorchComponent:
        """Rebuilds the distribution from its parameters, each passed through ``function``."""
        changed = {name: function(value) for name, value in _parameters(self.distribution).items()}
        return TorchComponent(type(self.distribution)(**changed))


def _parameters(distribution: Distribution) -> dict[str, Tensor]:
    """The tensors from which the distribution was made: those of its constraints that it stores itself."""
    stored = {name: distribution.__dict__.get(name) for name in distribution.arg_constraints}
    return {name: value for name, value in stored.items() if isinstance(value, Tensor)}
