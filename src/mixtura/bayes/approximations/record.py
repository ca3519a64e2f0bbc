r"""What approximations have in common: a law of the unconstrained vector u, and how well it serves.

The law q is a mixture of Gaussians, a value like any other. With draws :math:`u_s` of it and the unnormalised
density p,

.. math:: \mathrm{ELBO} = \tfrac1S \sum_s \log p(u_s) - \log q(u_s) \;\le\; \log \textstyle\int p,

where the bound holds of the expectation.
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass

from torch import Generator, Tensor

from ...components import Gaussian
from ...components.covariance import Full
from ...errors import refuse
from ...mixture import Mixture
from .density import Target, values
from .ending import Ending, Quality
from .psis import smoothed

__all__ = ["Approximation", "Check", "check", "normal"]

DRAWS = 1000


@dataclass(frozen=True)
class Check:
    """What fresh draws say of an approximation.

    Arguments:
        elbo: The evidence lower bound, in nats; minus infinity where q reaches beyond the posterior's support.
        elbo_error: Its standard error over the draws.
        pareto_k: The Pareto shape of the importance ratios.
        log_evidence: The log of the mean of the smoothed ratios, an estimate of the log-evidence.
    """

    elbo: float
    elbo_error: float
    pareto_k: float
    log_evidence: float


def check(target: Target, law: Mixture, generator: Generator | None, draws: int = DRAWS) -> Check:
    """Draws from a law of u and compares its density with the posterior's."""
    u = law.sample((draws,), generator=generator)
    ratios = values(target.log_density, u, target.points_at_once) - law.log_prob(u)
    weights = smoothed(ratios)
    error = float(ratios.std()) / math.sqrt(draws)
    return Check(float(ratios.mean()), error, weights.pareto_k, weights.log_mean)


def normal(mean: Tensor, scale_tril: Tensor) -> Mixture:
    """Returns the law N(mean, L Lᵀ) of u; means ``(K, P)`` give K of them, of equal weights."""
    means, factors = mean.reshape(-1, mean.shape[-1]), scale_tril.reshape(-1, *scale_tril.shape[-2:])
    return Mixture(means.new_ones(len(means)), Gaussian(means, Full.from_scale_tril(factors)))


@dataclass(frozen=True, eq=False, repr=False)
class Approximation:
    """A law of the unconstrained vector in the place of a posterior.

    Arguments:
        target: The posterior.
        law: The law of u: a mixture of Gaussians on P numbers.
        reason: Why the search for it ended.
        history: The objective, in nats, at each step.
        check: What fresh draws say of it.
    """

    target: Target
    law: Mixture
    reason: Ending
    history: tuple[float, ...]
    check: Check

    @property
    def converged(self) -> bool:
        """Whether the search ended by its rule."""
        return self.reason is Ending.CONVERGED

    @property
    def quality(self) -> Quality:
        """How well it serves, by the Pareto shape of the importance ratios."""
        return Quality.of(self.check.pareto_k)

    @property
    def elbo(self) -> float:
        """The evidence lower bound on fresh draws, in nats."""
        return self.check.elbo

    @property
    def mean(self) -> Tensor:
        """The mean of u, ``(P,)``."""
        return self.law.mean

    @property
    def covariance(self) -> Tensor:
        """The covariance of u, ``(P, P)``."""
        return self.law.covariance

    def sample(self, n: int, generator: Generator | None = None) -> Tensor:
        """Returns draws of u, ``(n, P)``."""
        if n < 1:
            refuse("n", "one draw or more", n)
        return self._draw(n, generator)

    def _draw(self, n: int, generator: Generator | None) -> Tensor:
        return self.law.sample((n,), generator=generator)

    def log_prob(self, u: Tensor) -> Tensor:
        """Returns the log-density of points ``(*S, P)`` under the law, ``(*S,)``."""
        return self.law.log_prob(u)

    def draws(self, n: int, generator: Generator | None = None) -> Mapping[str, Tensor]:
        """Returns draws of the parameters by name, each ``(n, ...)``."""
        return self.target.constrain(self.sample(n, generator))

    def __repr__(self) -> str:
        found = self.check
        lines = (
            f"{type(self).__name__} of {self.target.size} numbers",
            f"ELBO {found.elbo:.4g} ± {found.elbo_error:.2g} nats, k-hat {found.pareto_k:.2g}",
            self.reason.value,
            self.quality.value,
        )
        return "\n".join(lines)
