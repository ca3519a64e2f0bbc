"""A way to learn: a labels rule and an update, with a limit and a tolerance."""

from __future__ import annotations

from abc import ABC, abstractmethod
from dataclasses import replace
from typing import Any, Protocol, TypeVar

import torch
from torch import Generator, Tensor

from ...components import Family, Labels, Statistics
from ...data import Rows
from ...errors import refuse
from ...mixture import Mixture
from ...mixture.prior import Prior
from ..expectation.expect import expect
from ..methods.freeze import Freeze
from ..results.fit import Fit
from ..results.optimum import optima
from .run import run
from .traces import Report, Run, State, no_gain_left

__all__ = ["FitT", "Gives", "Method"]


FitT = TypeVar("FitT", bound=Fit, covariant=True)


class Gives(Protocol[FitT]):
    """What type checkers know of a method: the kind of fit that it returns."""

    def result(self, runs: list[Run], rows: Rows, family: Family) -> FitT:
        """Returns what the runs, best first, amount to."""
        ...


class Method(ABC):
    """A way to learn: a labels rule and an update, with a limit and a tolerance.

    Attributes:
        max_iterations: The largest number of updates.
        tolerance: The gain still to come, in nats per row, below which a start has converged; 0 runs all iterations.
        monotone: Whether no update can lower the objective.
        races: Whether many starts get a short run on a sample and only the best go on.
        restarts: How many starts there are if the caller does not say.
        observes: Whether it learns from rows recorded through an observation.
        takes_labels: Whether it learns from rows of which some labels are known.
        accelerated: Whether the loop may extrapolate from updates that it has seen.
        steep: Whether the loop may climb instead, because the sums of an E-step are the slope of the objective.
        alone: Whether an update is the M-step of soft sums alone, as that of maximum likelihood is.
    """

    max_iterations: int
    tolerance: float
    monotone: bool = True
    races: bool = True
    restarts: int = 16
    observes: bool = False
    takes_labels: bool = True
    accelerated: bool = False
    steep: bool = False
    alone: bool = False

    @property
    def sought(self) -> Prior:
        """The prior under which the most probable mixture is sought: for maximum likelihood, one that says nothing."""
        return Prior()

    # -- one iteration

    @property
    @abstractmethod
    def labels(self) -> Labels:
        """The labels rule."""

    @abstractmethod
    def update(self, statistics: Statistics, state: State) -> State:
        """Returns the state that the sums imply; NaN parameters where they imply none."""

    def cautious(self, statistics: Statistics, state: State) -> State:
        """Returns the update by steps that are sure to lower nothing, where those of `update` may lead too far."""
        return self.update(statistics, state)

    @abstractmethod
    def objective(self, statistics: Statistics, state: State) -> Tensor:
        """Returns what the method ascends, in nats, with shape ``(B,)``."""

    def at(self, iteration: int) -> Method:
        """Returns the method as it is at one iteration, where it follows a schedule."""
        return self

    def expected(self, state: State) -> Mixture:
        """Returns the mixture, perhaps not normalised, under which rows are read."""
        return state

    def converged(self, one: Run, rounding: float) -> bool:
        """Tells whether a start has converged, judged by its trace since the objective began to be monotone."""
        return self.tolerance > 0 and no_gain_left(one.trace[one.climb :], self.tolerance, rounding, one.far)

    def expect(self, state: State, rows: Rows) -> Statistics:
        """Returns the sums over all rows: what the labels rule makes of them under the expected mixture."""
        return expect(self.expected(state), rows, self.labels)

    def collapsed(self, state: State, floor: Tensor) -> Tensor:
        """Tells which components ``(B, K)`` have shrunk below the variance ``floor``."""
        return state.components.collapsed(floor)

    # -- before and after

    def check(self, rows: Rows) -> None:
        """Refuses rows that the method cannot learn from."""
        if rows.possible.known and not self.takes_labels:
            refuse("method", "one that takes labels", type(self).__name__, "Use `EM`.")
        if not (rows.observation.exact or self.observes):
            refuse("method", "one that learns through an observation, such as `EM`", type(self).__name__)

    def seeded(self, generator: Generator | None) -> Method:
        """Returns the method with a source of randomness, where it draws and has none of its own."""
        return self

    def freezing(self, freeze: Freeze) -> Method:
        """Returns the method with some parameters frozen."""
        advice = "EM and its variants, Gibbs and OnlineEM can freeze parameters."
        refuse("freeze", "none for this method", freeze, advice)

    def held(self, new: Mixture, old: Mixture) -> Mixture:
        """Returns the new mixture with what is frozen as in the old one."""
        return new

    def parameters(self, mixture: Mixture) -> int:
        """Returns the number of parameters of the mixture that were free."""
        return mixture.parameters

    def informed(self, rows: Rows, start: State) -> Method:
        """Returns the method with what it leaves open, such as a default prior, filled in from the rows."""
        return self

    def start(self, family: Family, x: Tensor, r: Tensor) -> Mixture:
        """Returns the batch of mixtures that responsibilities ``(N, B, K)`` of a sample suggest.

        A component without rows keeps a little weight, so that it is not dead from the start.
        """
        r = family.guess(r)
        share = (r.sum(0) + 1 / r.shape[-1]) / (r.sum((0, 2)).unsqueeze(-1) + 1)
        return Mixture._of(share.log().to(x.dtype), family.start(x, r))

    def at_means(self, means: Tensor) -> Mixture | None:
        """Returns the start that means ``(K, *event)`` alone determine, where they do."""
        return None

    def begin(self, start: State, rows: Rows) -> State:
        """Returns the first state from a batch of mixtures, or of states where an earlier run ended."""
        if not rows.observation.exact:
            return start
        components = start.components.settled(lambda read: rows.reduce(lambda block: read(block.x, block.weight)))
        return self.held(Mixture._of(start.logits, components, start.columns), start)

    def mixture(self, state: State) -> Mixture:
        """Returns the mixture that stands for a state."""
        return state

    def repeated(self, generator: Generator | None) -> Method:
        """Returns the method as it learns replicates of the data from one start: with as many components.

        Arguments:
            generator: The source of randomness of the replicates, in the place of that of the fit.
        """
        return self

    def short(self, iterations: int) -> Method:
        """Returns the method for trying a start: a few iterations, no convergence."""
        limit = min(iterations, self.max_iterations)
        return replace(self, max_iterations=limit, tolerance=0)  # type: ignore[type-var]

    def gathered(self, rows: Rows, state: State) -> Rows:
        """Returns the rows as the loop reads them: of equal ones perhaps one, with the weight of all."""
        return rows

    def pursue(self, rows: Rows, start: State, floor: Tensor, report: Report | None = None) -> list[Run]:
        """Runs every start to its end: the loop, for most methods."""
        return run(self, rows, start, floor, report)

    def leap(self, rows: Rows, start: State, floor: Tensor, report: Report | None) -> list[Run] | None:
        """Runs every start by many updates in a call; none where no kernel makes them, as mostly."""
        return None

    def result(self, runs: list[Run], rows: Rows, family: Family) -> Fit:
        """Returns what the runs, best first, amount to."""
        best = runs[0]
        return Fit(self.mixture(best.state), **self.account(runs, rows, family))

    def account(self, runs: list[Run], rows: Rows, family: Family) -> dict[str, Any]:
        """Returns what every fit says about how it was reached."""
        best = runs[0]
        return {
            "method": best.method,
            "reason": best.reason,
            "detail": best.detail,
            "trace": torch.tensor(best.trace, dtype=torch.float64),
            "restarts": optima(runs),
            "rows": rows,
            "family": family,
        }
