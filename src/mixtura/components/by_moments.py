r"""What components are told apart by, how thin they are, and what rows they draw: by moments, mostly.

A family whose moments wait for something more, such as the covariates of a regression, answers by its parameters.
"""

from __future__ import annotations

from abc import abstractmethod

import torch
from torch import Generator, Tensor

from .._value import Value

__all__ = ["ByMoments"]

_TINY = 1e-12  # of variances that are compared


class ByMoments(Value):
    """K distributions that are known by their moments, with batch shape ``(*B, K)``."""

    @property
    @abstractmethod
    def batch_shape(self) -> torch.Size:
        """The batch shape ``(*B, K)``."""

    @property
    @abstractmethod
    def event_shape(self) -> torch.Size:
        """The shape of one row: ``()`` for numbers, ``(D,)`` for vectors."""

    @property
    @abstractmethod
    def mean(self) -> Tensor:
        """The means, with shape ``(*B, K, *event)``."""

    @property
    @abstractmethod
    def variance(self) -> Tensor:
        """The variances of each coordinate, with shape ``(*B, K, *event)``."""

    @abstractmethod
    def draw(self, labels: Tensor, generator: Generator | None = None) -> Tensor:
        """Draws one row from the component that each label names: ``(*S, *B)`` to ``(*S, *B, *event)``."""

    @property
    def has_lines(self) -> bool:
        """Whether it is a linear regression, which takes a `NormalInverseGamma` prior."""
        return False

    def drawn_again(self, x: Tensor, labels: Tensor, generator: Generator | None = None) -> Tensor:
        """Draws rows to take the place of rows ``(N, *event)``, each from the component that its label names."""
        return self.draw(labels, generator)

    @property
    def traits(self) -> Tensor:
        """Numbers by which components are told apart when labels are matched, ``(*B, K, F)``: means and variances."""
        mean, variance = self._flat_moments()
        return torch.cat([mean, variance.clamp_min(_TINY).log()], -1)

    @property
    def span(self) -> int:
        """How many rows a component fits whatever they are, but for one: as many as a row has numbers."""
        return self.event_shape.numel()

    def thinness(self, weights: Tensor) -> Tensor:
        """Returns the least variance of each component relative to that of the mixture of these weights, ``(*B, K)``.

        Infinity where the whole has none.
        """
        (mean, variance), share = self._flat_moments(), weights.unsqueeze(-1)
        lag = mean - (share * mean).sum(-2, keepdim=True)
        whole = (share * (variance + lag.square())).sum(-2, keepdim=True)
        return torch.where(whole.isfinite(), variance / whole, torch.inf).nan_to_num(torch.inf, torch.inf).amin(-1)

    def _flat_moments(self) -> tuple[Tensor, Tensor]:
        """Means and variances, ``(*B, K, D)``, in double precision."""
        shape = *self.batch_shape, self.event_shape.numel()
        return self.mean.double().reshape(shape), self.variance.double().reshape(shape)
