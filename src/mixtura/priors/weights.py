r"""Priors on the weights of a mixture, and their posteriors given how many rows each component holds.

With :math:`N_k` rows in component k:

- `Symmetric`, the Dirichlet: :math:`\pi \sim \mathrm{Dir}(\alpha, \dots, \alpha)`, hence
  :math:`\pi | N \sim \mathrm{Dir}(\alpha + N_k)`;
- `StickBreaking`, the Dirichlet process truncated at K components (Sethuraman, 1994; Blei and Jordan, 2006):
  :math:`\pi_k = v_k \prod_{l<k} (1 - v_l)` with :math:`v_k \sim \mathrm{Beta}(1, \alpha)` and :math:`v_K = 1`, hence
  :math:`v_k | N \sim \mathrm{Beta}\big(1 + N_k,\; \alpha + \sum_{l>k} N_l\big)`.

Sticks favour the order of falling size, so the labels of the second are not exchangeable.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from dataclasses import dataclass

import torch
from torch import Generator, Tensor

from .._value import Value
from ..errors import refuse

__all__ = [
    "DirichletWeights",
    "StickBreaking",
    "Sticks",
    "Symmetric",
    "WeightsPosterior",
    "WeightsPrior",
    "weights_prior",
]


class WeightsPrior(Value, ABC):
    """A prior on the weights of K components."""

    ordered: bool = False  # whether the prior favours an order of the components

    @abstractmethod
    def posterior(self, weight: Tensor) -> WeightsPosterior:
        """Returns the law of the weights given how many rows each component holds, ``(*B, K)``."""

    def sample(self, components: int, generator: Generator | None = None) -> Tensor:
        """Draws the log-weights of a mixture of K components, with shape ``(K,)``, in double precision."""
        return self.posterior(torch.zeros(components, dtype=torch.float64)).draw(generator)


class WeightsPosterior(Value, ABC):
    """The law of weights with shape ``(*B, K)``; everything is in double precision and in nats."""

    @property
    @abstractmethod
    def mean(self) -> Tensor:
        """The expected weights, with shape ``(*B, K)``."""

    @property
    @abstractmethod
    def expected_log(self) -> Tensor:
        """The expected log-weights, with shape ``(*B, K)``; their exponentials sum to less than one."""

    @abstractmethod
    def draw(self, generator: Generator | None = None) -> Tensor:
        """Draws log-weights, with shape ``(*B, K)``."""

    @abstractmethod
    def divergence(self, prior: WeightsPrior) -> Tensor:
        """Returns the Kullback-Leibler divergence from the prior, with shape ``(*B,)``."""


@dataclass(frozen=True, eq=False, repr=False, init=False)
class Symmetric(WeightsPrior):
    r"""The symmetric Dirichlet prior on weights, :math:`\mathrm{Dir}(\alpha, \dots, \alpha)`.

    Arguments:
        concentration: The pseudo-rows :math:`\alpha > 0` of each component; below 1 weights near zero are favoured.

    Raises:
        MixtureError: If the concentration is not positive.

    Example:
        >>> mx.priors.Symmetric(2.0).posterior(torch.tensor([5.0, 1.0])).mean
        tensor([0.7000, 0.3000], dtype=torch.float64)
    """

    concentration: float

    def __init__(self, concentration: float) -> None:
        object.__setattr__(self, "concentration", _positive(concentration))

    def posterior(self, weight: Tensor) -> DirichletWeights:
        return DirichletWeights._of(concentration=weight.double() + self.concentration)


@dataclass(frozen=True, eq=False, repr=False, init=False)
class StickBreaking(WeightsPrior):
    r"""The truncated Dirichlet process on weights: :math:`v_k \sim \mathrm{Beta}(1, \alpha)` of what is left.

    Arguments:
        concentration: The strength :math:`\alpha > 0`; about :math:`\alpha \log(1 + N/\alpha)` components are used by
            N rows.

    Raises:
        MixtureError: If the concentration is not positive.

    Example:
        >>> mx.priors.StickBreaking(1.0).posterior(torch.zeros(3)).mean
        tensor([0.5000, 0.2500, 0.2500], dtype=torch.float64)
    """

    concentration: float
    ordered = True

    def __init__(self, concentration: float) -> None:
        object.__setattr__(self, "concentration", _positive(concentration))

    def posterior(self, weight: Tensor) -> Sticks:
        weight = weight.double()
        after = weight.sum(-1, keepdim=True) - weight.cumsum(-1)
        return Sticks._of(broken=1 + weight[..., :-1], left=self.concentration + after[..., :-1].clamp_min(0))


@dataclass(frozen=True, eq=False, repr=False)
class DirichletWeights(WeightsPosterior):
    """A Dirichlet law of weights with its pseudo-counts ``(*B, K)``."""

    concentration: Tensor

    @property
    def mean(self) -> Tensor:
        return self.concentration / self.concentration.sum(-1, keepdim=True)

    @property
    def expected_log(self) -> Tensor:
        return self.concentration.digamma() - self.concentration.sum(-1, keepdim=True).digamma()

    def draw(self, generator: Generator | None = None) -> Tensor:
        return torch.log_softmax(log_gamma_draw(self.concentration, generator), -1)

    def divergence(self, prior: WeightsPrior) -> Tensor:
        theirs = prior.posterior(torch.zeros_like(self.concentration))
        if not isinstance(theirs, DirichletWeights):
            refuse("prior", "a symmetric Dirichlet", prior)
        gap = ((self.concentration - theirs.concentration) * self.expected_log).sum(-1)
        return gap + self._log_normaliser() - theirs._log_normaliser()

    def _log_normaliser(self) -> Tensor:
        return self.concentration.sum(-1).lgamma() - self.concentration.lgamma().sum(-1)


@dataclass(frozen=True, eq=False, repr=False)
class Sticks(WeightsPosterior):
    """Independent beta laws of the K - 1 breaks of a stick, with their two counts ``(*B, K - 1)`` each."""

    broken: Tensor
    left: Tensor

    @property
    def mean(self) -> Tensor:
        share = self.broken / (self.broken + self.left)
        return _sticks(share.log(), (-share).log1p()).exp()

    @property
    def expected_log(self) -> Tensor:
        total = (self.broken + self.left).digamma()
        return _sticks(self.broken.digamma() - total, self.left.digamma() - total)

    def draw(self, generator: Generator | None = None) -> Tensor:
        pair = log_gamma_draw(torch.stack((self.broken, self.left), -1), generator)
        log_share = torch.log_softmax(pair, -1)
        return torch.log_softmax(_sticks(log_share[..., 0], log_share[..., 1]), -1)

    def divergence(self, prior: WeightsPrior) -> Tensor:
        theirs = prior.posterior(torch.zeros(*self.broken.shape[:-1], self.broken.shape[-1] + 1).to(self.broken))
        if not isinstance(theirs, Sticks):
            refuse("prior", "a stick-breaking prior", prior)
        total = (self.broken + self.left).digamma()
        gap = (self.broken - theirs.broken) * (self.broken.digamma() - total)
        gap = gap + (self.left - theirs.left) * (self.left.digamma() - total)
        return (gap + self._log_normaliser() - theirs._log_normaliser()).sum(-1)

    def _log_normaliser(self) -> Tensor:
        return (self.broken + self.left).lgamma() - self.broken.lgamma() - self.left.lgamma()


def weights_prior(concentration: float | WeightsPrior) -> WeightsPrior:
    """Returns the prior itself, or the symmetric Dirichlet of that concentration."""
    return concentration if isinstance(concentration, WeightsPrior) else Symmetric(concentration)


def log_gamma_draw(shape: Tensor, generator: Generator | None = None) -> Tensor:
    r"""Draws logarithms of standard gamma variates, exact also where the shape is so small that they underflow.

    With :math:`G \sim \Gamma(a + 1)` and U uniform, :math:`G\,U^{1/a} \sim \Gamma(a)` (Marsaglia and Tsang, 2000).
    """
    boosted = torch._standard_gamma(shape + 1, generator=generator).log()
    uniform = torch.rand(shape.shape, dtype=shape.dtype, device=shape.device, generator=generator)
    return boosted + (-uniform).log1p() / shape


def _sticks(log_broken: Tensor, log_left: Tensor) -> Tensor:
    """Turns logarithms of the breaks and of what they leave ``(*B, K - 1)`` into those of the pieces ``(*B, K)``."""
    zero = log_broken.new_zeros(*log_broken.shape[:-1], 1)
    before = torch.cat((zero, log_left.cumsum(-1)), -1)
    return before + torch.cat((log_broken, zero), -1)


def _positive(concentration: float) -> float:
    if not concentration > 0:
        refuse("concentration", "positive", concentration)
    return float(concentration)
