"""NUTS as a method of `mixtura.fit`: learning is one door.

The model is `Model` with its weak priors. The loop makes no iterations: what it comes to is found by the chains, which
begin at fits of their own.
"""

from __future__ import annotations

from dataclasses import dataclass, field, replace
from functools import cached_property
from typing import TYPE_CHECKING

import torch
from torch import Generator, Tensor

from ..components import Family, Labels, Statistics
from ..data import Rows
from ..learning import Fit, Reason
from ..learning.expectation.labels import soft
from ..learning.loop.method import Method
from ..learning.loop.traces import Report, Run, State
from ..learning.results.relabel import average
from ..mixture import Mixture
from .binding import bound_rows
from .draws.as_mixtures import to_mixtures
from .draws.diagnosis import Diagnosis, diagnose
from .draws.sampling import of_draws
from .engine import draw
from .model import Model
from .posterior import Posterior

if TYPE_CHECKING:
    from arviz import InferenceData

__all__ = ["NUTS", "NUTSFit"]


@dataclass(frozen=True)
class NUTS(Method):
    """Draws from the posterior of `bayes.Model` with its weak priors by the no-U-turn sampler.

    Arguments:
        draws: How many draws each chain keeps.
        tune: How many each chain makes before that.
        chains: The number of chains.
        target_accept: The acceptance that the step size is made for: nearer to one where there are divergences.
        model: Priors and more of one's own; its K, family and observation are those of the fit.
        generator: The source of randomness; that of `fit` if none is given.

    Example:
        >>> method = mx.bayes.NUTS(draws=100, tune=200, chains=2, generator=torch.Generator().manual_seed(0))
        >>> fit = mx.fit(mx.datasets.old_faithful()[:, 0], 2, family=mx.Normal, method=method)
        >>> fit.draws.batch_shape, fit.mixture.order().components.loc.round()
        (torch.Size([200]), tensor([4., 2.], dtype=torch.float64))
    """

    draws: int = 1000
    tune: int = 1000
    chains: int = 4
    target_accept: float = 0.8
    model: Model | None = None
    generator: Generator | None = None

    monotone = False
    races = False
    observes = True
    tolerance = 0.0
    restarts = 1

    @property
    def max_iterations(self) -> int:  # type: ignore[override]
        return self.tune + self.draws

    @property
    def labels(self) -> Labels:
        return soft

    def seeded(self, generator: Generator | None) -> NUTS:
        return self if self.generator is not None else replace(self, generator=generator)

    def update(self, statistics: Statistics, state: State) -> State:
        return state

    def objective(self, statistics: Statistics, state: State) -> Tensor:
        return statistics.log_likelihood

    def pursue(self, rows: Rows, start: State, floor: Tensor, report: Report | None = None) -> list[Run]:
        """Nothing is run from a start: `result` has the chains find theirs."""
        return [Run(self, start, 0)]

    def result(self, runs: list[Run], rows: Rows, family: Family) -> NUTSFit:
        components = runs[0].state.logits.shape[-1]
        model = replace(self.model or Model(components), components=components, family=family)
        posterior = bound_rows(model, rows, family)
        seed = int(torch.randint(2**31, (), generator=self.generator))
        found = draw(posterior, self.draws, self.tune, self.chains, self.target_accept, seed)
        idata = of_draws(found, self.generator)
        reason = Reason.INTERRUPTED if found.interrupted else Reason.FINISHED
        trace = torch.from_numpy(found.statistics["lp"]).mean(0) / rows.total_weight
        account = {**self.account(runs, rows, family), "reason": reason, "trace": trace}
        mixture = average(to_mixtures(idata, posterior))
        return NUTSFit(mixture, **account, idata=idata, posterior=posterior)


@dataclass(frozen=True, eq=False, repr=False)
class NUTSFit(Fit):
    """What NUTS returns: the mixture at the posterior mean, and all draws.

    Arguments:
        idata: The draws as ArviZ's data.
        posterior: What was drawn from.
    """

    idata: InferenceData = field(repr=False)
    posterior: Posterior = field(repr=False)

    @cached_property
    def draws(self) -> Mixture:
        """The mixtures drawn, as one batch ``(chains * draws,)``, chain by chain."""
        return to_mixtures(self.idata, self.posterior).named(self.mixture.columns)

    @cached_property
    def diagnosis(self) -> Diagnosis:
        """Whether the draws can be trusted."""
        return diagnose(self.idata)

    @property
    def advice(self) -> str:
        """The reason in words, and what stands against the draws."""
        return " ".join((super().advice, *self.diagnosis.remarks))
