r"""The binomial family on counts out of m trials, and the Bernoulli family, m = 1.

.. math:: \log p(x; \pi) = x \log\pi + (m - x)\log(1 - \pi) + \log\tbinom mx, \qquad
    \eta = \log\tfrac{\pi}{1-\pi}, \quad T = x, \quad A = m \log(1 + e^\eta) .

The conjugate law of :math:`\pi` is :math:`\mathrm{Beta}(\tau, \nu m - \tau)`.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, ClassVar

import torch
from torch import Generator, Tensor
from torch.distributions import constraints

from ..errors import refuse
from ..kernels.laws import Law, Matching
from .counts import Counts
from .domains import trials
from .exponential_family import ExponentialFamily, MatchedMeans
from .special.beta_cdf import beta_below
from .special.gamma_draws import gamma
from .special.gamma_shape import log_gamma_ratio

__all__ = ["Bernoulli", "Binomial", "beta", "interior", "log_beta"]


def interior(probability: Tensor) -> Tensor:
    """Moves probabilities of exactly 0 or 1 inside by rounding, so that their logarithms are finite."""
    least = torch.finfo(probability.dtype).eps
    return probability.clamp(least, 1 - least)


def beta(a: Tensor, b: Tensor, generator: Generator | None) -> Tensor:
    """Draws from Beta(a, b)."""
    one, other = gamma(a, generator), gamma(b, generator)
    return one / (one + other)


def log_beta(a: Tensor, b: Tensor) -> Tensor:
    """Returns the logarithm of the beta function, which may be small beside those of its gamma functions."""
    few, many = torch.minimum(a, b), torch.maximum(a, b)
    return torch.lgamma(few) - log_gamma_ratio(many, few)


@dataclass(frozen=True, eq=False, repr=False, init=False)
class Binomial(Counts, ExponentialFamily):
    r"""K binomial distributions on whole numbers between 0 and ``total_count``, held as floating point.

    Arguments:
        total_count: The number m of trials behind every value.
        probs: The probabilities :math:`\pi_k` of success, with shape ``(*B, K)``; ``(*B, K, D)`` for vectors.
        vectors: Whether rows are vectors with independent coordinates.

    Raises:
        MixtureError: If a probability is outside [0, 1] or there is no trial.

    A fit takes ``family=mx.Binomial.template(total_count=m)``.

    Example:
        >>> mx.Binomial(2, torch.tensor([0.5, 0.9])).log_prob(torch.tensor(2.0)).exp()
        tensor([0.2500, 0.8100])
    """

    arguments: ClassVar = {"probs": constraints.unit_interval}
    law = Law.BINOMIAL
    probs: Tensor
    total_count: int = 0

    def __init__(self, total_count: int, probs: Tensor, *, vectors: bool = False) -> None:
        self._seal(vectors, probs=probs)
        object.__setattr__(self, "probs", interior(self.probs))
        object.__setattr__(self, "total_count", _trials(total_count))

    @property
    def domain(self) -> Any:
        return trials(self.total_count)

    def sufficient(self, x: Tensor) -> Tensor:
        return x

    @property
    def matching(self) -> Matching:
        return Matching(Law.BINOMIAL, 1, self.total_count)

    @property
    def natural(self) -> Tensor:
        return interior(self.probs).logit()  # a change of type may have rounded them to 0 or 1

    @property
    def log_volume(self) -> Tensor:
        return -self._sum(self.probs.log() + torch.log1p(-self.probs))

    def log_normaliser(self, natural: Tensor) -> Tensor:
        return -self.total_count * torch.nn.functional.logsigmoid(-natural)  # torch's softplus cuts its tail off

    def base(self, x: Tensor) -> Tensor:
        count = torch.tensor(self.total_count + 1.0, dtype=x.dtype, device=x.device)
        return torch.lgamma(count) - torch.lgamma(x + 1) - torch.lgamma(count - x)

    def from_mean(self, mean: Tensor) -> Binomial:
        return self._replace(probs=interior(mean / self.total_count))

    def with_natural(self, natural: Tensor) -> Binomial:
        return self._replace(probs=interior(natural.sigmoid()))

    def prior_log_normaliser(self, strength: Tensor, total: Tensor) -> Tensor:
        return log_beta(total, strength * self.total_count - total)

    def prior_exists(self, strength: Tensor, total: Tensor) -> Tensor:
        return (total > 0) & (total < strength * self.total_count)

    def prior_draw(self, strength: Tensor, total: Tensor, generator: Generator | None) -> Binomial:
        return self._replace(probs=interior(beta(total, strength * self.total_count - total, generator)))

    def middling(self) -> Tensor:
        return torch.full_like(self.probs[(0,) * len(self.batch_shape)], self.total_count / 2)

    @property
    def mean(self) -> Tensor:
        return self.total_count * self.probs

    @property
    def variance(self) -> Tensor:
        return self.total_count * self.probs * (1 - self.probs)

    def collapsed(self, floor: Tensor) -> Tensor:
        return self.broken()

    def _up_to(self, n: Tensor) -> Tensor:
        p, m = self.probs.double(), self.total_count
        return torch.where(n >= m, 1.0, beta_below((m - n).clamp_min(1), n + 1, 1 - p, p))

    def _beyond(self, n: Tensor) -> Tensor:
        p, m = self.probs.double(), self.total_count
        return torch.where(n >= m, 0.0, beta_below(n + 1, (m - n).clamp_min(1), p, 1 - p))

    def _draw(self, generator: Generator | None) -> Tensor:
        return torch.binomial(torch.full_like(self.probs, self.total_count), self.probs, generator=generator)


@dataclass(frozen=True, eq=False, repr=False, init=False)
class Bernoulli(Binomial):
    r"""K Bernoulli distributions on 0 and 1; on vectors of them this is latent class analysis.

    Arguments:
        probs: The probabilities :math:`\pi_k` of 1, with shape ``(*B, K)``; ``(*B, K, D)`` for vectors.
        vectors: Whether rows are vectors with independent coordinates.

    Raises:
        MixtureError: If a probability is outside [0, 1].

    Example:
        >>> mx.Bernoulli(torch.tensor([[0.5, 0.9]]), vectors=True).log_prob(torch.tensor([1.0, 1.0])).exp()
        tensor([0.4500])
    """

    total_count: int = 1

    def __init__(self, probs: Tensor, *, vectors: bool = False) -> None:
        super().__init__(1, probs, vectors=vectors)

    def base(self, x: Tensor) -> Tensor:
        return torch.zeros_like(x)


def _trials(total_count: Any) -> int:
    if not isinstance(total_count, int) or total_count < 1:
        refuse("total_count", "a whole number of at least 1, the trials behind every value", total_count)
    return total_count


@dataclass(frozen=True, eq=False, repr=False)
class BinomialFamily(MatchedMeans, of=[Binomial]):
    """Binomial components.

    Arguments:
        total_count: The number of trials behind every value.
    """

    total_count: int = 0

    def __post_init__(self) -> None:
        _trials(self.total_count)

    @property
    def domain(self) -> Any:
        return trials(self.total_count)


@dataclass(frozen=True, eq=False, repr=False)
class BernoulliFamily(MatchedMeans, of=[Bernoulli]):
    """Bernoulli components."""

    @property
    def domain(self) -> Any:
        return trials(1)
