r"""Gibbs sampling: draws from the posterior of a mixture's weights, components and labels.

Two blocks take turns (Diebolt and Robert, 1994): all labels given the mixture, independently for each row, and the
mixture given the labels, through the conjugate posteriors,

.. math::

    z_n &\sim \mathrm{Cat}(r_n), \quad r_{nk} \propto \pi_k\, p(x_n | \theta_k), \\
    \pi &\sim p(\pi | N), \qquad \theta_k \sim p(\theta_k | N_k, M_k) .

So a sweep is one iteration of the loop: the labels rule draws, and the update draws. Chains are the entries of the
batch and share each pass over the rows.

Where rows are recorded through a Gaussian observation, the clean row is one more thing to draw, together with its
label: :math:`z_n` from :math:`\pi_k\, p(y_n | \theta_k)`, then :math:`x_n` given :math:`y_n` and :math:`z_n`. The
mixture is then drawn given the clean rows.
"""

from __future__ import annotations

from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING

import torch
from torch import Generator, Tensor

from ...components import Family, Labels, Statistics
from ...data import Block, Rows
from ...errors import MixtureError, refuse
from ...mixture import Mixture
from ...mixture.prior import Prior, check_prior
from ..expectation.expect import draw, log_joint
from ..expectation.sampled_labels import Sampled, SampledRows
from ..loop.method import Method
from ..loop.reason import Reason
from ..loop.run import run
from ..loop.traces import Report, Run, State, stack
from ..results.arviz import inference_data
from ..results.fit import Fit
from ..results.relabel import average, relabel
from .default_prior import conjugate, informed
from .freeze import Freeze

if TYPE_CHECKING:
    from arviz import InferenceData

__all__ = ["Gibbs", "GibbsFit"]


@dataclass(frozen=True)
class Gibbs(Method):
    """Blocked Gibbs sampling with conjugate priors; every draw is kept.

    Arguments:
        draws: How many draws each chain keeps.
        warmup: How many sweeps each chain makes before that.
        chains: The number of chains, from different starts; ``restarts=`` of `fit` overrides it.
        prior: The prior; by default flat on the weights and weakly informative on the components. A `StickBreaking`
            concentration makes the model a Dirichlet process truncated at K components.
        generator: The source of randomness; that of `fit` if none is given.
        frozen: What stays as in the start; ``freeze=`` of `fit` sets it.

    Row weights count as repeated rows that share their label.

    Example:
        >>> method = mx.Gibbs(draws=200, warmup=50, chains=2, generator=torch.Generator().manual_seed(0))
        >>> fit = mx.fit(mx.datasets.old_faithful(), components=2, method=method)
        >>> fit.draws.batch_shape, fit.draws.weights.mean(0).round(decimals=1)
        (torch.Size([400]), tensor([0.6000, 0.4000], dtype=torch.float64))
    """

    draws: int = 1000
    warmup: int = 500
    chains: int = 4
    prior: Prior | None = None
    generator: Generator | None = None
    frozen: Freeze | None = field(default=None, kw_only=True)

    monotone = False
    races = False
    observes = True
    tolerance = 0.0

    def __post_init__(self) -> None:
        check_prior(self.prior)
        for name, came, least in (("draws", self.draws, 1), ("warmup", self.warmup, 0), ("chains", self.chains, 1)):
            if not came >= least:
                refuse(name, f"at least {least}", came)

    @property
    def max_iterations(self) -> int:  # type: ignore[override]
        return self.warmup + self.draws

    @property
    def restarts(self) -> int:  # type: ignore[override]
        return self.chains

    @property
    def labels(self) -> Labels:
        return Sampled(self.generator)

    def expect(self, state: Mixture, rows: Rows) -> Statistics:
        return draw(state, rows, Sampled(self.generator))

    def check(self, rows: Rows) -> None:
        super().check(rows)
        if not rows.observation.draws:
            name, advice = type(rows.observation).__name__, "`EM` learns through all observations."
            refuse("observation", "Gaussian (noise, measurements, gaps) for Gibbs", name, advice)

    def seeded(self, generator: Generator | None) -> Gibbs:
        return self if self.generator is not None else replace(self, generator=generator)

    def repeated(self, generator: Generator | None) -> Gibbs:
        return self if generator is None else replace(self, generator=generator)

    def informed(self, rows: Rows, start: State) -> Gibbs:
        return replace(self, prior=informed(self.prior, rows, start, 1.0))

    def update(self, statistics: Statistics, state: Mixture) -> Mixture:
        prior = self.prior or Prior()
        weights = prior.weights.posterior(statistics.weight).draw(self.generator)
        components = conjugate(prior).posterior(statistics, state.components).draw(self.generator)
        drawn = Mixture._of(weights.to(components.dtype), components)
        return drawn if self.frozen is None else self.frozen.kept(drawn, state)

    def freezing(self, freeze: Freeze) -> Gibbs:
        if freeze.means or freeze.covariances:
            refuse("freeze", "of weights or whole components for Gibbs", freeze, "Their conjugate laws are joint.")
        return replace(self, frozen=freeze)

    def held(self, new: Mixture, old: Mixture) -> Mixture:
        return new if self.frozen is None else self.frozen.kept(new, old)

    def parameters(self, mixture: Mixture) -> int:
        return mixture.parameters - (self.frozen.parameters(mixture) if self.frozen else 0)

    def objective(self, statistics: Statistics, state: Mixture) -> Tensor:
        return statistics.log_likelihood

    def collapsed(self, state: Mixture, floor: Tensor) -> Tensor:
        """No component can: the prior holds it."""
        return torch.zeros_like(state.logits, dtype=torch.bool)

    def pursue(self, rows: Rows, start: State, floor: Tensor, report: Report | None = None) -> list[Run]:
        kept: list[Mixture] = []

        def keep(iteration: int, alive: list[int], state: Mixture, objective: list[float]) -> None:
            if iteration > self.warmup:
                kept.append(state)

        runs = run(self, rows, start, floor, report, keep)
        if any(one.reason is Reason.NOT_FINITE for one in runs):
            raise MixtureError(f"A chain reached a log-likelihood that is not finite. {Reason.NOT_FINITE.value}")
        for entry, one in enumerate(runs):
            one.kept = [state.batch(entry) for state in kept]
            one.reason = Reason.FINISHED if one.reason is Reason.MAX_ITERATIONS else one.reason
        return runs

    def result(self, runs: list[Run], rows: Rows, family: Family) -> GibbsFit:
        if not runs[0].kept:
            raise MixtureError("The sampler was interrupted before it kept a draw.")
        draws = stack([state for one in runs for state in one.kept])
        length = len(runs[0].kept)
        traces = torch.tensor([one.trace[-length:] for one in runs], dtype=torch.float64)
        if not rows.possible.known and self.frozen is None:  # else labels mean what they say
            draws = relabel(draws, draws.batch(int(traces.flatten().argmax())))
        account = {**self.account(runs, rows, family), "reason": runs[0].reason}
        return GibbsFit(average(draws), **account, draws=draws, chains=len(runs), log_likelihoods=traces)


@dataclass(frozen=True, eq=False, repr=False)
class GibbsFit(Fit):
    """What Gibbs sampling returns: the mixture at the posterior mean, and all draws, with labels that agree.

    Arguments:
        draws: The mixtures drawn, as one batch ``(chains * draws,)``, chain by chain.
        chains: The number of chains.
        log_likelihoods: The log-likelihood of each draw in nats per row, with shape ``(chains, draws)``.
    """

    draws: Mixture = field(repr=False)
    chains: int
    log_likelihoods: Tensor

    @property
    def prior(self) -> Prior:
        """The prior under which the draws were made."""
        return self.method.prior  # type: ignore[attr-defined]

    def occupied(self, generator: Generator | None = None) -> Tensor:
        """Returns how many components hold rows in each draw, with shape ``(chains * draws,)``.

        Labels are drawn given each mixture, as the sampler does.

        Arguments:
            generator: The source of randomness.
        """
        rules = [Sampled(generator).settled() for _ in self.draws.logits]
        return self.rows.reduce(lambda block: self._held(block, rules)).sum(-1)

    @torch.no_grad()
    def _held(self, block: Block, rules: list[SampledRows]) -> Tensor:
        """Which components hold rows of a block in each draw, ``(chains * draws, K)``."""
        counted = block.weights > 0
        draws = (self.draws.batch(s) for s in range(len(rules)))
        drawn = (rule.for_rows(block.numbers)(log_joint(draw, block)) for draw, rule in zip(draws, rules, strict=True))
        return torch.stack([(labels[counted] > 0).any(0) for labels in drawn])

    @property
    def predictive(self) -> Mixture:
        """The posterior predictive law of a row: the mixture of the mixtures of all draws."""
        return flatten(self.draws).named(self.mixture.columns)

    def to_arviz(
        self, log_likelihood: bool = True, predictive: int = 0, generator: Generator | None = None
    ) -> InferenceData:
        """Returns the draws as ArviZ's data, with dimensions chain, draw and component.

        Arguments:
            log_likelihood: Whether to add the log-likelihood of every row, in nats.
            predictive: How many rows to add from the posterior predictive law for each draw. They are as they would be
                recorded, which must then be the same for all rows.
            generator: The source of randomness of the posterior predictive rows.

        Raises:
            ImportError: If ArviZ is not installed.
        """
        return inference_data(self.draws, self.chains, self.rows, log_likelihood, predictive, generator)


def flatten(draws: Mixture) -> Mixture:
    """Returns the equal mixture of a batch ``(S,)`` of mixtures: one mixture of S times K components."""
    return Mixture._of(torch.log_softmax(draws.logits.flatten(), 0), draws.components.flattened())
