r"""Priors on the weights of a mixture, and their posteriors given how many rows each component holds.

Every law here breaks a stick: :math:`\pi_k = v_k \prod_{l<k} (1 - v_l)` with independent breaks
:math:`v_k \sim \mathrm{Beta}(a_k, b_k)` for :math:`k < K`, and the last component has what is left. The density in the
weights, with respect to :math:`d\pi_1 \cdots d\pi_{K-1}`, is (Connor and Mosimann, 1969)

.. math:: p(\pi) = \prod_{k<K} \frac{\mathrm{Beta}(v_k; a_k, b_k)}{s_k}, \qquad s_k = \sum_{l \ge k} \pi_l, \quad
    v_k = \pi_k / s_k .

With :math:`N_k` rows in component k:

- `DirichletPrior`: :math:`\pi \sim \mathrm{Dir}(\alpha_1, \dots, \alpha_K)`, whose breaks have
  :math:`a_k = \alpha_k` and :math:`b_k = \sum_{l>k} \alpha_l`; hence :math:`\pi | N \sim \mathrm{Dir}(\alpha + N)`;
- `StickBreaking`, the Dirichlet process truncated at K components (Sethuraman, 1994; Blei and Jordan, 2006):
  :math:`a_k = 1` and :math:`b_k = \alpha`, hence
  :math:`v_k | N \sim \mathrm{Beta}\big(1 + N_k,\; \alpha + \sum_{l>k} N_l\big)`.

Sticks favour the order of falling size, so the labels of the second are not exchangeable. A proper prior always has a
density; whether the density has a maximum is another question, and only MAP estimates ask it.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Sequence
from dataclasses import dataclass

import torch
from torch import Generator, Tensor

from .._value import Value
from ..errors import NotClosedForm, refuse

__all__ = [
    "DirichletPrior",
    "DirichletWeights",
    "StickBreaking",
    "Sticks",
    "WeightsPosterior",
    "WeightsPrior",
    "weights_prior",
]


class WeightsPrior(Value, ABC):
    """A prior on the weights of K components."""

    ordered: bool = False  # whether the prior favours an order of falling size

    @abstractmethod
    def posterior(self, weight: Tensor) -> WeightsPosterior:
        """Returns the law of the weights given how many rows each component holds, ``(*B, K)``."""

    def sample(self, components: int, generator: Generator | None = None) -> Tensor:
        """Draws the log-weights of a mixture of K components, with shape ``(K,)``, in double precision."""
        return self.posterior(torch.zeros(components, dtype=torch.float64)).draw(generator)

    def log_prob(self, logits: Tensor) -> Tensor:
        r"""Returns the log-density of weights, with respect to :math:`d\pi_1 \cdots d\pi_{K-1}`.

        Arguments:
            logits: The log-weights up to a constant, with shape ``(*B, K)``.

        Returns:
            The log-density in nats, in double precision, with shape ``(*B,)``.

        Example:
            >>> mx.priors.DirichletPrior(1.0).log_prob(torch.zeros(3)).exp()
            tensor(2., dtype=torch.float64)
        """
        return self.posterior(torch.zeros_like(logits)).log_prob(logits)

    @property
    def has_mode(self) -> bool:
        """Whether there is a most probable value of the weights, whatever the rows: what MAP estimates need."""
        return False

    @property
    def flat(self) -> bool:
        """Whether it says nothing."""
        return False

    def mode(self, weight: Tensor) -> Tensor:
        """Returns the most probable log-weights given how many rows each component holds, both ``(*B, K)``.

        Raises:
            NotClosedForm: If the prior has no mode.
        """
        rows = self.rows(weight)
        return (rows / rows.sum(-1, keepdim=True)).log()

    def rows(self, weight: Tensor) -> Tensor:
        """Returns the rows and pseudo-rows ``(*B, K)`` whose shares are the most probable weights.

        Raises:
            NotClosedForm: If the prior has no mode.
        """
        raise NotClosedForm(f"A {type(self).__name__} prior has no most probable weights.")


class WeightsPosterior(Value, ABC):
    """The law of weights with shape ``(*B, K)``; everything is in double precision and in nats."""

    @property
    @abstractmethod
    def breaks(self) -> tuple[Tensor, Tensor]:
        """The two counts of the beta laws of the breaks of the stick, with shape ``(*B, K - 1)`` each."""

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
    def log_prob(self, logits: Tensor) -> Tensor:
        r"""Returns the log-density of weights, given up to a constant as ``(*B, K)``, in nats, with shape ``(*B,)``.

        It is taken with respect to :math:`d\pi_1 \cdots d\pi_{K-1}`.
        """

    def divergence(self, prior: WeightsPrior) -> Tensor:
        """Returns the Kullback-Leibler divergence from any prior, break by break, with shape ``(*B,)``."""
        broken, left = self.breaks
        theirs = prior.posterior(torch.zeros_like(self.mean)).breaks
        total = (broken + left).digamma()
        gap = (broken - theirs[0]) * (broken.digamma() - total) + (left - theirs[1]) * (left.digamma() - total)
        return (gap + _log_beta(*theirs) - _log_beta(broken, left)).sum(-1)


@dataclass(frozen=True, eq=False, repr=False, init=False)
class DirichletPrior(WeightsPrior):
    r"""The Dirichlet prior on weights, :math:`\mathrm{Dir}(\alpha_1, \dots, \alpha_K)`.

    Arguments:
        concentration: The pseudo-rows :math:`\alpha > 0` of each component: one number for all, or one for each, with
            shape ``(K,)``, in the order of the start's components. Below 1 weights near zero are favoured.

    The most probable weights are :math:`\pi_k \propto N_k + \alpha_k - 1`, where every :math:`\alpha_k \ge 1`.

    Raises:
        MixtureError: If a concentration is not positive and finite, or they are not K.

    Example:
        >>> mx.priors.DirichletPrior(2.0).posterior(torch.tensor([5.0, 1.0])).mean
        tensor([0.7000, 0.3000], dtype=torch.float64)
        >>> mx.priors.DirichletPrior([1.0, 3.0]).posterior(torch.zeros(2)).mean
        tensor([0.2500, 0.7500], dtype=torch.float64)
    """

    concentration: Tensor

    def __init__(self, concentration: float | Sequence[float] | Tensor) -> None:
        values = torch.as_tensor(concentration, dtype=torch.float64)
        if values.ndim > 1 or not bool((values > 0).all() & values.isfinite().all()):
            refuse("concentration", "positive: a number, or one for each component", concentration)
        object.__setattr__(self, "concentration", values)

    def posterior(self, weight: Tensor) -> DirichletWeights:
        return DirichletWeights._of(concentration=weight.double() + self._beside(weight))

    @property
    def has_mode(self) -> bool:
        return bool((self.concentration >= 1).all())

    @property
    def flat(self) -> bool:
        return bool((self.concentration == 1).all())

    def rows(self, weight: Tensor) -> Tensor:
        return weight + (self._beside(weight) - 1)

    def _beside(self, weight: Tensor) -> Tensor:
        """The concentration beside weights ``(*B, K)``, on their device."""
        values, components = self.concentration, weight.shape[-1]
        if values.ndim and len(values) != components:
            refuse("concentration", f"one number for each of {components} components", f"{len(values)} of them")
        return values.to(weight.device, torch.float64)


@dataclass(frozen=True, eq=False, repr=False, init=False)
class StickBreaking(WeightsPrior):
    r"""The truncated Dirichlet process on weights: :math:`v_k \sim \mathrm{Beta}(1, \alpha)` of what is left.

    Arguments:
        concentration: The strength :math:`\alpha > 0`; about :math:`\alpha \log(1 + N/\alpha)` components are used by
            N rows.

    Its density in the weights is unbounded where the last ones vanish together, so it has no mode.

    Raises:
        MixtureError: If the concentration is not positive.

    Example:
        >>> mx.priors.StickBreaking(1.0).posterior(torch.zeros(3)).mean
        tensor([0.5000, 0.2500, 0.2500], dtype=torch.float64)
    """

    concentration: float
    ordered = True

    def __init__(self, concentration: float) -> None:
        if not concentration > 0:
            refuse("concentration", "positive", concentration)
        object.__setattr__(self, "concentration", float(concentration))

    def posterior(self, weight: Tensor) -> Sticks:
        weight = weight.double()
        return Sticks._of(broken=1 + weight[..., :-1], left=self.concentration + _after(weight)[..., :-1])


@dataclass(frozen=True, eq=False, repr=False)
class DirichletWeights(WeightsPosterior):
    """A Dirichlet law of weights with its pseudo-counts ``(*B, K)``."""

    concentration: Tensor

    @property
    def breaks(self) -> tuple[Tensor, Tensor]:
        return self.concentration[..., :-1], _from(self.concentration)[..., 1:]

    @property
    def mean(self) -> Tensor:
        return self.concentration / self.concentration.sum(-1, keepdim=True)

    @property
    def expected_log(self) -> Tensor:
        return self.concentration.digamma() - self.concentration.sum(-1, keepdim=True).digamma()

    def draw(self, generator: Generator | None = None) -> Tensor:
        return torch.log_softmax(log_gamma_draw(self.concentration, generator), -1)

    def log_prob(self, logits: Tensor) -> Tensor:
        log_weights = torch.log_softmax(logits.double(), -1)
        normaliser = self.concentration.lgamma().sum(-1) - self.concentration.sum(-1).lgamma()
        return _times(self.concentration - 1, log_weights).sum(-1) - normaliser


@dataclass(frozen=True, eq=False, repr=False)
class Sticks(WeightsPosterior):
    """Independent beta laws of the K - 1 breaks of a stick, with their two counts ``(*B, K - 1)`` each."""

    broken: Tensor
    left: Tensor

    @property
    def breaks(self) -> tuple[Tensor, Tensor]:
        return self.broken, self.left

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

    def log_prob(self, logits: Tensor) -> Tensor:
        log_weights = torch.log_softmax(logits.double(), -1)
        log_stick = log_weights.flip(-1).logcumsumexp(-1).flip(-1)  # what is left before each break
        ends = _times(self.broken - 1, log_weights[..., :-1]) + _times(self.left - 1, log_stick[..., 1:])
        ends = ends - _times(self.broken + self.left - 1, log_stick[..., :-1])
        return (ends - _log_beta(self.broken, self.left)).sum(-1)


def weights_prior(concentration: float | Sequence[float] | Tensor | WeightsPrior) -> WeightsPrior:
    """Returns the prior itself, or the Dirichlet of that concentration."""
    return concentration if isinstance(concentration, WeightsPrior) else DirichletPrior(concentration)


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


def _after(weight: Tensor) -> Tensor:
    """Sums what lies behind each component, ``(*B, K)``."""
    return (weight.sum(-1, keepdim=True) - weight.cumsum(-1)).clamp_min(0)


def _from(weight: Tensor) -> Tensor:
    """Sums each component and what lies behind it, ``(*B, K)``."""
    return weight.flip(-1).cumsum(-1).flip(-1)


def _log_beta(a: Tensor, b: Tensor) -> Tensor:
    return a.lgamma() + b.lgamma() - (a + b).lgamma()


def _times(power: Tensor, logarithm: Tensor) -> Tensor:
    """Multiplies; nothing to the power of zero is one."""
    return power * logarithm.masked_fill((power == 0) & (logarithm == -torch.inf), 0)
