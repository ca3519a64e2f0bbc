r"""The Poisson family on counts.

.. math:: \log p(x; \lambda) = x \log\lambda - \lambda - \log x!, \qquad
    \eta = \log\lambda, \quad T = x, \quad A = e^\eta .

The cumulative probability is that of a gamma waiting time, of shape x + 1, to exceed :math:`\lambda`. The conjugate
law of :math:`\lambda` is gamma, of shape :math:`\tau` and rate :math:`\nu`.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar

import torch
from torch import Generator, Tensor
from torch.distributions import constraints

from ..kernels.laws import Law
from .counts import Counts
from .exponential_family import ExponentialFamily
from .special.gamma_cdf import gamma_above, gamma_below
from .special.gamma_draws import gamma
from .special.log_terms import log_gamma_power

__all__ = ["Poisson"]


@dataclass(frozen=True, eq=False, repr=False, init=False)
class Poisson(Counts, ExponentialFamily):
    r"""K Poisson distributions on whole numbers of at least 0, held as floating point.

    Arguments:
        rate: The means :math:`\lambda_k`, with shape ``(*B, K)``; ``(*B, K, D)`` for vectors.
        vectors: Whether rows are vectors with independent coordinates.

    Raises:
        MixtureError: If a rate is not positive and finite.

    Example:
        >>> mx.Poisson(torch.tensor([1.0, 4.0])).log_prob(torch.tensor(2.0)).exp()
        tensor([0.1839, 0.1465])
    """

    arguments: ClassVar = {"rate": constraints.positive}
    domain = constraints.nonnegative_integer
    law = Law.POISSON
    rate: Tensor

    def __init__(self, rate: Tensor, *, vectors: bool = False) -> None:
        self._seal(vectors, rate=rate)

    def sufficient(self, x: Tensor) -> Tensor:
        return x

    @property
    def natural(self) -> Tensor:
        return self.rate.log()

    @property
    def log_volume(self) -> Tensor:
        return -self._sum(self.rate.log())

    def log_normaliser(self, natural: Tensor) -> Tensor:
        return natural.exp()

    def base(self, x: Tensor) -> Tensor:
        return -torch.lgamma(x + 1)

    def _density(self, x: Tensor) -> Tensor:
        if self.vectors:
            return super()._density(x)
        n = x.clamp_min(1).unsqueeze(-1)
        return torch.where(x.unsqueeze(-1) > 0, log_gamma_power(n, self.rate) - n.log(), -self.rate)

    def from_mean(self, mean: Tensor) -> Poisson:
        return self._replace(rate=mean.clamp_min(_LEAST))

    def with_natural(self, natural: Tensor) -> Poisson:
        return self._replace(rate=natural.exp().clamp_min(_LEAST))

    def prior_log_normaliser(self, strength: Tensor, total: Tensor) -> Tensor:
        return torch.lgamma(total) - total * strength.log()

    def prior_draw(self, strength: Tensor, total: Tensor, generator: Generator | None) -> Poisson:
        return self.from_mean(gamma(total, generator) / strength)

    @property
    def mean(self) -> Tensor:
        return self.rate

    @property
    def variance(self) -> Tensor:
        return self.rate

    def collapsed(self, floor: Tensor) -> Tensor:
        return self.broken()

    def _up_to(self, n: Tensor) -> Tensor:
        return gamma_above(n + 1, self.rate.double())

    def _beyond(self, n: Tensor) -> Tensor:
        return gamma_below(n + 1, self.rate.double())

    def _draw(self, generator: Generator | None) -> Tensor:
        return torch.poisson(self.rate, generator=generator)


_LEAST = 1e-30  # a rate of zero would give NaN where a count of zero meets log 0
