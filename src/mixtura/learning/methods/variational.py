r"""Variational Bayes: the posterior of a mixture's parameters, approximated by independent factors.

Labels and parameters are taken as independent, :math:`q(z, \pi, \theta) = q(z)\, q(\pi) \prod_k q(\theta_k)`, and each
factor is set in turn to the best one given the others (Attias, 2000; Bishop, 2006, chapter 10):

.. math::

    r_{nk} &\propto \exp\big(\mathbb E[\log\pi_k] + \mathbb E[\log p(x_n | \theta_k)]\big), \\
    q(\pi) &= p(\pi | N), \qquad q(\theta_k) = p(\theta_k | N_k, M_k),

the conjugate posteriors given the fractional sums. The bound on the log-evidence, with the best r put in, is

.. math:: \mathcal L = \sum_n w_n \log \sum_k e^{\mathbb E[\log\pi_k] + \mathbb E[\log p(x_n|\theta_k)]}
    - KL(q(\pi) \| p(\pi)) - \sum_k KL(q(\theta_k) \| p(\theta_k)),

so the E-step is that of EM with other logits, and no update can lower the bound. Under a stick-breaking prior the
components are put in the order of falling size where that raises the bound (Kurihara, Welling and Teh, 2007).

Where rows are recorded through an observation, :math:`p(y|x)`, the clean rows are one more thing that is not known:
:math:`q(z, x)\, q(\pi) \prod_k q(\theta_k)`. In an exponential family
:math:`\mathbb E[\log p(x|\theta_k)] = \log\bar p_k(x) + c_k`, with the expected component :math:`\bar p_k` and an
offset :math:`c_k` that x does not enter. So the best factor of a row is

.. math:: q(z = k, x) \propto e^{\mathbb E[\log\pi_k] + c_k}\, \bar p_k(x)\, p(y | x),

which is the posterior of label and clean row in the mixture of expected components: the E-step of EM through the
observation, and the bound holds :math:`\int \bar p_k(x)\, p(y|x)\, dx` in the place of :math:`\bar p_k(x)`. It does not
hold where some draws are not recorded at all: their probability is no expected statistic.
"""

from __future__ import annotations

from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING, Any

import torch
from torch import Generator, Tensor

from ..._value import Value
from ...components import Component, Family, Labels, Statistics
from ...data import Rows
from ...errors import refuse
from ...mixture import Mixture
from ...mixture.prior import Prior, check_prior
from ...priors import ConjugatePosterior
from ...priors.weights import WeightsPosterior, WeightsPrior
from ..expectation.expect import expect
from ..expectation.labels import soft
from ..loop.improve import improved
from ..loop.method import Method
from ..loop.run import run
from ..loop.traces import Report, Run, State
from ..results.arviz import inference_data
from ..results.fit import Fit
from ..results.reorder import reorder, reorder_statistics
from .default_prior import conjugate, informed
from .em import check_limits

if TYPE_CHECKING:
    from arviz import InferenceData

__all__ = ["Posterior", "Variational", "VariationalFit"]

_ROWS = 20_000  # beyond which elimination is left to the sample that starts are tried on
_TRIED = 6  # how many components a round of elimination tries to empty


@dataclass(frozen=True, eq=False, repr=False)
class Posterior(Value):
    """The law of a mixture's parameters: independent factors for the weights and the components.

    Arguments:
        weights: The law of the weights.
        components: The joint law of the components' parameters.
        rows: The expected number of rows in each component, with shape ``(*B, K)``.
    """

    weights: WeightsPosterior
    components: ConjugatePosterior
    rows: Tensor

    def expected(self) -> Mixture:
        """Returns the unnormalised mixture whose log joint is the expected one."""
        components, offset = self.components.expected()
        return Mixture._of((self.weights.expected_log + offset).to(components.dtype), components)

    @property
    def mean(self) -> Mixture:
        """The mixture at the posterior mean of the weights and of the components' moments.

        Where a covariance has no mean, the components are those of the expected precision.
        """
        components = self.components.mean
        if not all(bool(tensor.isfinite().all()) for tensor in components.tensors()):
            components, _ = self.components.expected()
        return Mixture._of(self.weights.mean.log().to(components.dtype), components)

    def draw(self, generator: Generator | None = None) -> Mixture:
        """Draws a mixture."""
        components = self.components.draw(generator)
        return Mixture._of(self.weights.draw(generator).to(components.dtype), components)

    @property
    def predictive(self) -> Mixture:
        r"""The law of a further row with the parameters integrated out: a mixture of Student-t components.

        With a normal-inverse-Wishart law, :math:`\nu - D + 1` degrees of freedom, centre :math:`m_k` and
        :math:`\Psi_k (\kappa_k + 1)/(\kappa_k(\nu_k - D + 1))` (Gelman et al., 2013, section 3.6).

        Raises:
            NotClosedForm: If the components are not Gaussians with full covariances, or numbers.
        """
        components = self.components.predictive()
        return Mixture._of(self.weights.mean.log().to(components.dtype), components)

    def divergence(self, prior: Prior) -> Tensor:
        """Returns the divergence from the prior in nats, with shape ``(*B,)``."""
        return self.weights.divergence(prior.weights) + self.components.divergence(conjugate(prior))

    def batch(self, index: Any) -> Posterior:
        """Returns the entries that ``index`` selects along the first batch dimension."""
        return self.map(lambda tensor: tensor[index])


@dataclass(frozen=True)
class Variational(Method):
    r"""Variational Bayes with conjugate priors: a posterior over mixtures and a bound on the evidence.

    Arguments:
        prior: The prior; by default concentration :math:`1/K` and weakly informative components. A `StickBreaking`
            concentration makes the model a Dirichlet process truncated at K components.
        max_iterations: The largest number of updates, at least 1.
        tolerance: The gain of the bound still to come, in nats per row; 0 runs all iterations.
        unused: Components that hold fewer rows than this are left out of the fit's mixture.
        elimination: Whether to try, after convergence, to empty one component after another where that raises the
            bound: small components that hold a few rows die slowly or never by themselves. Where rows are many, this
            happens on the sample that starts are tried on.
        acceleration: Whether to extrapolate from updates already made, which never lowers the bound.

    Example:
        >>> fit = mx.fit(mx.datasets.old_faithful(), components=8, method=mx.Variational())
        >>> len(fit.mixture.weights) < 8, fit.bound < fit.log_likelihood
        (True, True)
    """

    prior: Prior | None = None
    max_iterations: int = 1000
    tolerance: float = 1e-7
    unused: float = 1.0
    elimination: bool = True
    acceleration: bool = field(default=True, kw_only=True)

    observes = True

    def __post_init__(self) -> None:
        check_limits(self.max_iterations, self.tolerance)
        check_prior(self.prior)

    @property
    def labels(self) -> Labels:
        return soft

    @property
    def accelerated(self) -> bool:  # type: ignore[override]
        return self.acceleration and self.monotone

    def check(self, rows: Rows) -> None:
        super().check(rows)
        if rows.observation.selects:
            name, advice = type(rows.observation).__name__, "Use `EM`."
            refuse("observation", "one that records every draw, for a bound on the evidence", name, advice)

    def informed(self, rows: Rows, start: State) -> Variational:
        if rows.possible.known and self.prior is not None and self.prior.weights.ordered:
            refuse("prior", "a Dirichlet where labels are known", self.prior.concentration)
        mixture = self.expected(start)
        return replace(self, prior=informed(self.prior, rows, mixture, 1 / mixture.logits.shape[-1]))

    def begin(self, start: State, rows: Rows) -> Posterior:
        return start if isinstance(start, Posterior) else self._posterior(expect(start, rows, soft), start.components)

    def expected(self, state: State) -> Mixture:
        return state.expected() if isinstance(state, Posterior) else state

    def update(self, statistics: Statistics, state: Posterior) -> Posterior:
        return self._posterior(statistics, state.components.expected()[0])

    def objective(self, statistics: Statistics, state: Posterior) -> Tensor:
        return statistics.log_likelihood - state.divergence(self.settled)

    def collapsed(self, state: State, floor: Tensor) -> Tensor:
        """No component of a posterior can, for the prior holds it: but sums that are none of rows may give no law."""
        if isinstance(state, Posterior):
            return (~state.components.proper).expand_as(state.rows)
        return super().collapsed(state, floor)

    def mixture(self, state: Posterior) -> Mixture:
        return state.mean

    def _used(self, state: Posterior, rows: Rows) -> Mixture:
        """Returns the mixture at the posterior mean of components that hold rows, or are some rows' known label."""
        used = state.rows >= min(self.unused, state.rows.max().item())
        used[_labelled(rows)] = True  # they come first, so that a label is still the number of its component
        kept, mean = used.nonzero().squeeze(-1), self.mixture(state)
        return Mixture._of(torch.log_softmax(mean.logits[kept], -1), mean.components.take(kept))

    def repeated(self, generator: Generator | None) -> Variational:
        """Keeps every component: what one replicate has no use for is there in others."""
        return replace(self, elimination=False, unused=0.0)

    def pursue(self, rows: Rows, start: State, floor: Tensor, report: Report | None = None) -> list[Run]:
        """Runs every start, then tries to do without one component after another in the best."""
        runs = run(self, rows, start, floor, report)
        best = max(runs, key=lambda one: one.objective)
        worthwhile = self.elimination and len(rows) <= _ROWS
        better = improved(best.method, best, rows, floor, _without_one) if worthwhile else best
        return [better if one is best else one for one in runs]

    def result(self, runs: list[Run], rows: Rows, family: Family) -> VariationalFit:
        best = runs[0].state
        return VariationalFit(self._used(best, rows), **self.account(runs, rows, family), posterior=best)

    @property
    def settled(self) -> Prior:
        """The prior, which `informed` has seen to."""
        if self.prior is None:
            raise RuntimeError("The prior is settled when the loop begins.")
        return self.prior

    def _posterior(self, statistics: Statistics, centre: Component) -> Posterior:
        """Returns the conjugate posterior given sums taken about ``centre``."""
        if self.settled.weights.ordered:
            statistics, centre = _by_size(self.settled.weights, statistics, centre)
        components = conjugate(self.settled).posterior(statistics, centre)
        return Posterior._of(
            weights=self.settled.weights.posterior(statistics.weight), components=components, rows=statistics.weight
        )


@dataclass(frozen=True, eq=False, repr=False)
class VariationalFit(Fit):
    """What variational Bayes returns: the mixture at the posterior mean, and the posterior itself.

    Arguments:
        posterior: The posterior of weights and components, all K of them.
    """

    posterior: Posterior = field(repr=False)

    @property
    def prior(self) -> Prior:
        """The prior under which the posterior was found."""
        return self.method.prior  # type: ignore[attr-defined]

    @property
    def predictive(self) -> Mixture:
        """The law of a further row with the parameters integrated out; see `Posterior.predictive`."""
        return self.posterior.predictive.named(self.mixture.columns)

    def to_arviz(
        self,
        draws: int = 1000,
        log_likelihood: bool = True,
        predictive: int = 0,
        generator: Generator | None = None,
    ) -> InferenceData:
        """Returns independent draws from the posterior as ArviZ's data: one chain, all K components.

        Arguments:
            draws: How many mixtures to draw.
            log_likelihood: Whether to add the log-likelihood of every row, in nats.
            predictive: How many rows to add for each draw. They are as they would be
                recorded, which must then be the same for all rows.
            generator: The source of randomness.

        Raises:
            ImportError: If ArviZ is not installed.
        """
        mixtures = self.posterior.map(lambda tensor: tensor.expand(draws, *tensor.shape)).draw(generator)
        return inference_data(mixtures, 1, self.rows, log_likelihood, predictive, generator)

    @property
    def bound(self) -> float:
        """The lower bound on the log-evidence of all rows, in nats."""
        return self.trace[-1].item() * self.rows.total_weight


def _without_one(state: Posterior, rows: Rows) -> list[Mixture]:
    """Proposes to empty each of the smaller components in use: the mixtures without them; none that has a label."""
    used = (state.rows > 1e-3).nonzero().squeeze(-1)
    smallest = used[state.rows[used].argsort()][: min(_TRIED, len(used) - 1)]
    middle = Mixture._of(state.weights.mean.log().to(state.expected().dtype), state.components.expected()[0])
    labelled = _labelled(rows)
    return [_emptied(middle, k) for k in smallest.tolist() if k not in labelled]


def _labelled(rows: Rows) -> list[int]:
    """The components that are the known label of some rows."""
    return [component for _, component in rows.possible.groups() if component is not None]


def _emptied(mixture: Mixture, component: int) -> Mixture:
    logits = mixture.logits.clone()
    logits[component] = -torch.inf
    return Mixture._of(torch.log_softmax(logits, -1), mixture.components)


def _by_size(prior: WeightsPrior, statistics: Statistics, centre: Component) -> tuple[Statistics, Component]:
    """Puts larger components first, where that makes the counts likelier: mostly, but for what the last one takes."""
    order = torch.argsort(statistics.weight, dim=-1, descending=True, stable=True)
    better = _evidence(prior, statistics.weight.gather(-1, order)) > _evidence(prior, statistics.weight)
    order = torch.where(better.unsqueeze(-1), order, torch.arange(order.shape[-1], device=order.device))
    return reorder_statistics(statistics, order), reorder(centre, order)


def _evidence(prior: WeightsPrior, weight: Tensor) -> Tensor:
    """How likely counts of components are, the sticks integrated out, but for a constant."""
    broken, left = prior.posterior(weight).breaks
    return (broken.lgamma() + left.lgamma() - (broken + left).lgamma()).sum(-1)
