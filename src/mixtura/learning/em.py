r"""Expectation maximisation: maximum likelihood, and MAP with conjugate priors.

E-step: :math:`r_{nk} = w_k p_k(x_n) / \sum_l w_l p_l(x_n)`. M-step: :math:`w_k = N_k / \sum_l N_l`, and components
whose expected statistics match the sums. A prior adds its pseudo-sums: a Dirichlet of concentration :math:`\alpha`
makes :math:`w_k \propto N_k + \alpha - 1`. Neither step can lower the (penalised) log-likelihood (Dempster, Laird and
Rubin, 1977).
"""

from __future__ import annotations

from dataclasses import dataclass, field, replace
from typing import Any

import torch
from torch import Generator, Tensor

from ..components import Component, ConjugatePrior, Labels, NormalInverseWishart, Statistics
from ..data import Summary, rows, summary
from ..errors import refuse
from ..mixture import Mixture
from .freeze import Freeze
from .labels import soft
from .loop import Method, Run, small_change
from .ridge import Ridge
from .weights import WeightsPrior, weights_prior

__all__ = ["EM", "Prior"]


@dataclass(frozen=True)
class Prior:
    r"""A conjugate prior on a mixture: Dirichlet on the weights, and one on each component.

    Arguments:
        concentration: The Dirichlet's :math:`\alpha > 0`, the same for each component, or a prior on weights such as
            `StickBreaking`; 1 is flat, and MAP estimates need at least 1.
        components: The components' prior, such as `NormalInverseWishart`; a `Ridge`; or none.

    Raises:
        MixtureError: If the concentration is not positive.

    Example:
        >>> mx.EM(prior=mx.Prior(concentration=2.0)).prior.concentration
        2.0
    """

    concentration: float | WeightsPrior = 1.0
    components: ConjugatePrior | Ridge | None = None

    def __post_init__(self) -> None:
        weights_prior(self.concentration)

    @property
    def weights(self) -> WeightsPrior:
        """The prior on the weights."""
        return weights_prior(self.concentration)

    @property
    def extra(self) -> float:
        """The pseudo-rows that MAP estimates add to each component: the concentration less one.

        Raises:
            MixtureError: If the weights have no most probable value.
        """
        if isinstance(self.concentration, WeightsPrior) or not self.concentration >= 1:
            refuse("concentration", "a number of at least 1 (else a MAP estimate does not exist)", self.concentration)
        return self.concentration - 1

    @classmethod
    def weak(cls, x: Any, components: int) -> Prior:
        r"""Builds the weakly informative prior of Fraley and Raftery (2007) from the data.

        The mean is the data's, :math:`\kappa = 0.01`, :math:`\nu = D + 2`, and the scale matrix holds the data's
        variances divided by :math:`K^{2/D}`. It keeps components from collapsing and hardly moves the others.

        Example:
            >>> mx.Prior.weak(mx.datasets.old_faithful(), 3).components.degrees
            4.0
        """
        return cls(1.0, weak_components(summary(rows(x)), components))

    def sample(self, components: Component, generator: Generator | None = None) -> Mixture:
        """Draws a whole mixture: weights and components.

        Arguments:
            components: A template: its family, settings, batch shape ``(*B, K)`` and type are those of the draw.
            generator: The source of randomness.

        Raises:
            MixtureError: If the prior says nothing of the components.

        Example:
            >>> prior = mx.Prior(1.0, mx.NormalInverseWishart(torch.zeros(2), 0.1, torch.eye(2), 4.0))
            >>> prior.sample(mx.Gaussian(torch.zeros(3, 2), mx.Full(torch.eye(2).expand(3, 2, 2)))).mean.shape
            torch.Size([2])
        """
        if not isinstance(self.components, ConjugatePrior):
            refuse("components", "a conjugate prior, to be drawn from", self.components)
        count = torch.zeros(components.batch_shape, dtype=torch.float64, device=components.device)
        logits = self.weights.posterior(count).draw(generator)
        return Mixture._of(logits.to(components.dtype), self.components.sample(components, generator))

    def log_prob(self, mixture: Mixture) -> Tensor:
        """Returns the log-density of the mixture's parameters up to a constant, in nats, with shape ``(*B)``."""
        flat = self.extra == 0  # a weight of zero is then as good as any
        weights = torch.zeros_like(mixture.logits[..., 0]) if flat else self.extra * mixture.logits.sum(-1)
        if self.components is None:
            return weights.double()
        return weights.double() + self.components.log_prob(mixture.components)


def weak_components(found: Summary, components: int) -> NormalInverseWishart:
    """Returns the weakly informative prior of Gaussians for data with this summary; see `Prior.weak`."""
    mean, variance = found.mean.reshape(-1), found.variance.reshape(-1)
    features = len(mean)
    scale = torch.diag(variance) / components ** (2 / features)
    return NormalInverseWishart(mean, 0.01, scale, features + 2.0)


@dataclass(frozen=True)
class EM(Method):
    """Expectation maximisation.

    Arguments:
        max_iterations: The largest number of updates, at least 1.
        tolerance: The gain still to come, in nats per row, below which a fit has converged; 0 runs all iterations.
        prior: A conjugate prior, which turns maximum likelihood into MAP; none by default.
        frozen: What stays as in the start; ``freeze=`` of `fit` sets it.

    Example:
        >>> fit = mx.fit(mx.datasets.old_faithful(), components=2, method=mx.EM(tolerance=1e-6))
        >>> fit.reason
        <Reason.CONVERGED: "The objective's remaining gain is below the tolerance.">
    """

    max_iterations: int = 1000
    tolerance: float = 1e-7
    prior: Prior | None = None
    frozen: Freeze | None = field(default=None, kw_only=True)

    observes = True

    def __post_init__(self) -> None:
        check_limits(self.max_iterations, self.tolerance)
        if self.prior is not None:
            self.prior.extra  # noqa: B018 (refuses a prior without a mode)

    @property
    def labels(self) -> Labels:
        return soft

    @property
    def monotone(self) -> bool:  # type: ignore[override]
        return self.prior is None or not isinstance(self.prior.components, Ridge)

    def converged(self, one: Run, rounding: float) -> bool:
        """Judges by the gain still to come; by the last change alone where a ridge may let the objective fall."""
        return super().converged(one, rounding) if self.monotone else small_change(one.trace, self.tolerance)

    def freezing(self, freeze: Freeze) -> EM:
        if freeze.means and self.prior is not None and self.prior.components is not None:
            refuse(
                "freeze", "without means under a prior on the components", freeze, "Give a prior on the weights alone."
            )
        return replace(self, frozen=freeze)

    def parameters(self, mixture: Mixture) -> int:
        return mixture.parameters - (self.frozen.parameters(mixture) if self.frozen else 0)

    def update(self, statistics: Statistics, mixture: Mixture) -> Mixture:
        return (
            self._free(statistics, mixture) if self.frozen is None else self._partly(self.frozen, statistics, mixture)
        )

    def _partly(self, frozen: Freeze, statistics: Statistics, mixture: Mixture) -> Mixture:
        return frozen.kept(self._free(frozen.held(statistics), mixture), mixture)

    def _free(self, statistics: Statistics, mixture: Mixture) -> Mixture:
        extra = 0.0 if self.prior is None else self.prior.extra
        weight = statistics.weight + extra
        logits = (weight / weight.sum(-1, keepdim=True)).log().to(mixture.dtype)
        prior = None if self.prior is None else self.prior.components
        return Mixture._of(logits, mixture.components.update(statistics, prior))

    def objective(self, statistics: Statistics, mixture: Mixture) -> Tensor:
        if self.prior is None:
            return statistics.log_likelihood
        return statistics.log_likelihood + self.prior.log_prob(mixture)


def check_limits(max_iterations: int, tolerance: float) -> None:
    """Refuses a limit below 1 and a tolerance that is negative or NaN."""
    if not max_iterations >= 1:
        refuse("max_iterations", "at least 1", max_iterations)
    if not tolerance >= 0:
        refuse("tolerance", "at least 0 (nats per row)", tolerance)
