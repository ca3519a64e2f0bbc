"""How the likelihood of Gaussians moves with their covariances: gradients in the factor, and steps of their own."""

from __future__ import annotations

from abc import abstractmethod
from typing import Self

from torch import Tensor

__all__ = ["FactorSlopes"]


class FactorSlopes:
    """Covariances whose every factor of the right shape is one of the structure may know their slopes."""

    def factor_gradient(self, weight: Tensor, scatter: Tensor, features: int) -> Tensor:
        r"""Returns the gradient in the factor of :math:`\sum r \log N(x; \mu, \Sigma)`, from sums pooled where tied."""
        raise NotImplementedError

    @property
    def has_factor_gradient(self) -> bool:
        """Whether `factor_gradient` is there; without it, log-densities are differentiated by their expression."""
        return type(self).factor_gradient is not FactorSlopes.factor_gradient

    @property
    def climbs(self) -> bool:
        """Whether `local_slopes` and `stepped` are there."""
        return self.has_factor_gradient and not self.constrained

    @property
    @abstractmethod
    def constrained(self) -> bool:
        """Whether not every factor of the right shape is one of this structure."""

    def local_slopes(self, weight: Tensor, scatter: Tensor, features: int) -> tuple[Tensor, Tensor]:
        """Returns the slopes in local coordinates, ``(B, K or 1, F)`` or ``(B, F)``, and about how fast they fall.

        Arguments:
            weight: The sums of responsibilities, pooled where tied.
            scatter: The second moments about the means in the structure's own form.
            features: The number of coordinates D.
        """
        raise NotImplementedError

    def stepped(self, step: Tensor) -> Self:
        """Returns the covariances after steps ``(B, F)`` in local coordinates."""
        raise NotImplementedError
