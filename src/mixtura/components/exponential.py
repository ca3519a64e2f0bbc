r"""The exponential family of waiting times.

.. math:: \log p(x; \lambda) = \log\lambda - \lambda x, \qquad \eta = -\lambda, \quad T = x, \quad A = -\log(-\eta) .

The conjugate law of :math:`\lambda` is gamma, of shape :math:`\nu + 1` and rate :math:`\tau`.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar

import torch
from torch import Generator, Tensor
from torch.distributions import constraints

from ..kernels.laws import Law
from .coordinates import Coordinates
from .exponential_family import ExponentialFamily
from .special.gamma_draws import gamma

__all__ = ["Exponential"]


@dataclass(frozen=True, eq=False, repr=False, init=False)
class Exponential(Coordinates, ExponentialFamily):
    r"""K exponential distributions on numbers of at least 0.

    Arguments:
        rate: The rates :math:`\lambda_k`, one over the means, with shape ``(*B, K)``; ``(*B, K, D)`` for vectors.
        vectors: Whether rows are vectors with independent coordinates.

    Raises:
        MixtureError: If a rate is not positive and finite.

    Example:
        >>> mx.Exponential(torch.tensor([1.0, 0.5])).cdf(torch.tensor(2.0))
        tensor([0.8647, 0.6321])
    """

    arguments: ClassVar = {"rate": constraints.positive}
    domain = constraints.nonnegative
    law = Law.EXPONENTIAL
    rate: Tensor

    def __init__(self, rate: Tensor, *, vectors: bool = False) -> None:
        self._seal(vectors, rate=rate)

    def sufficient(self, x: Tensor) -> Tensor:
        return x

    @property
    def natural(self) -> Tensor:
        return -self.rate

    def log_normaliser(self, natural: Tensor) -> Tensor:
        return -torch.log(-natural)

    def base(self, x: Tensor) -> Tensor:
        return torch.zeros_like(x)

    def from_mean(self, mean: Tensor) -> Exponential:
        return self._replace(rate=1 / mean)

    def with_natural(self, natural: Tensor) -> Exponential:
        return self._replace(rate=-natural)

    def prior_log_normaliser(self, strength: Tensor, total: Tensor) -> Tensor:
        return torch.lgamma(strength + 1) - (strength + 1) * total.log()

    def prior_draw(self, strength: Tensor, total: Tensor, generator: Generator | None) -> Exponential:
        return self._replace(rate=gamma(strength + 1, generator) / total)

    @property
    def mean(self) -> Tensor:
        return 1 / self.rate

    @property
    def variance(self) -> Tensor:
        return 1 / self.rate.square()

    def _cdf(self, x: Tensor) -> Tensor:
        return -torch.expm1(-self.rate * x.clamp_min(0))

    def _survival(self, x: Tensor) -> Tensor:
        return torch.exp(-self.rate * x.clamp_min(0))

    def _draw(self, generator: Generator | None) -> Tensor:
        uniform = torch.rand(self.rate.shape, dtype=self.dtype, device=self.device, generator=generator)
        return -torch.log1p(-uniform) / self.rate
