r"""How a recorded vector is spread about what is expected of it: Gaussian errors, alone by coordinate or joint."""

from __future__ import annotations

import math
from abc import ABC, abstractmethod
from dataclasses import dataclass

import torch
from torch import Tensor

from ...components.covariance.columns import by_columns, times

__all__ = ["Alone", "Errors", "Joint", "errors"]


class Errors(ABC):
    """Gaussian errors of M recorded numbers, one law for all rows or one for each."""

    @abstractmethod
    def times(self, vector: Tensor) -> Tensor:
        """Returns the covariance times vectors ``(*N, M)``."""

    @abstractmethod
    def solve(self, residual: Tensor) -> Tensor:
        """Returns the inverse covariance times residuals ``(*N, M)``."""

    @abstractmethod
    def whole(self) -> Tensor:
        """Returns the covariance as matrices ``(..., M, M)``."""

    @abstractmethod
    def double(self) -> Errors:
        """Returns the same in double precision."""

    @abstractmethod
    def plus_round(self, variance: float) -> Errors:
        """Returns these errors and others of one variance in every direction."""

    @property
    @abstractmethod
    def variance(self) -> Tensor:
        """The variances ``(..., M)``."""

    @abstractmethod
    def half_logdet(self) -> Tensor:
        """Returns half the log-determinant of the covariance."""

    def log_prob(self, residual: Tensor) -> Tensor:
        """Returns the log-density of residuals ``(*N, M)`` in nats."""
        constant = 0.5 * residual.shape[-1] * math.log(2 * math.pi)
        return -0.5 * (residual * self.solve(residual)).sum(-1) - self.half_logdet() - constant


@dataclass(frozen=True, eq=False)
class Alone(Errors):
    """Errors that are independent between coordinates.

    Arguments:
        given: Their variances, with shape ``(..., M)``.
    """

    given: Tensor

    def times(self, vector: Tensor) -> Tensor:
        return self.given * vector

    def solve(self, residual: Tensor) -> Tensor:
        return residual / self.given

    def whole(self) -> Tensor:
        return torch.diag_embed(self.given)

    def double(self) -> Errors:
        return Alone(self.given.double())

    def plus_round(self, variance: float) -> Errors:
        return Alone(self.given + variance)

    @property
    def variance(self) -> Tensor:
        return self.given

    def half_logdet(self) -> Tensor:
        return 0.5 * self.given.log().sum(-1)


@dataclass(frozen=True, eq=False)
class Joint(Errors):
    """Errors of a covariance, which need not be symmetric to the last digit where a network's Jacobian made it.

    Arguments:
        given: The matrices, with shape ``(..., M, M)``.
    """

    given: Tensor

    def times(self, vector: Tensor) -> Tensor:
        return times(self.given, vector)

    def solve(self, residual: Tensor) -> Tensor:
        return by_columns(lambda columns: torch.linalg.solve(self.given, columns), residual, self.given.ndim - 1)

    def whole(self) -> Tensor:
        return self.given

    def double(self) -> Errors:
        return Joint(self.given.double())

    def plus_round(self, variance: float) -> Errors:
        one = torch.eye(self.given.shape[-1], dtype=self.given.dtype, device=self.given.device)
        return Joint(self.given + variance * one)

    @property
    def variance(self) -> Tensor:
        return self.given.diagonal(dim1=-2, dim2=-1)

    def half_logdet(self) -> Tensor:
        return 0.5 * torch.linalg.slogdet(self.given).logabsdet


def errors(covariance: Tensor) -> Errors:
    """Returns errors of a covariance ``(..., M, M)``; of one number they are alone."""
    return Alone(covariance[..., 0]) if covariance.shape[-1] == 1 else Joint(covariance)
