r"""Stochastic EM: labels are drawn instead of averaged (Celeux and Diebolt, 1985).

Each row's label is drawn from its posterior probabilities and the update is maximum likelihood for those labels. The
chain of mixtures does not settle: it wanders about the sensible maxima and leaves the insignificant ones, where EM
would stay. The most likely mixture that each chain visits is then improved by EM, which is what is returned.
"""

from __future__ import annotations

from dataclasses import dataclass, replace

import torch
from torch import Generator, Tensor

from ...components import Labels
from ...data import Rows
from ...errors import refuse
from ..expectation.sampled_labels import Sampled
from ..loop.run import run
from ..loop.traces import Report, Run, State, stack
from .em import EM

__all__ = ["StochasticEM"]


@dataclass(frozen=True)
class StochasticEM(EM):
    """Expectation maximisation with labels drawn at random, then plain EM from the best mixture visited.

    Arguments:
        max_iterations: The largest number of updates of EM at the end, at least 1.
        tolerance: The gain still to come of EM at the end, in nats per row.
        prior: A conjugate prior; none by default.
        draws: The number of updates with drawn labels.
        generator: The source of randomness; that of `fit` if none is given.

    Example:
        >>> method = mx.StochasticEM(draws=50, generator=torch.Generator().manual_seed(0))
        >>> fit = mx.fit(mx.datasets.old_faithful(), components=2, method=method)
        >>> round(fit.log_likelihood, 2)
        -1130.26
    """

    draws: int = 200
    generator: Generator | None = None

    races = False
    restarts = 4

    def __post_init__(self) -> None:
        super().__post_init__()
        if not self.draws >= 1:
            refuse("draws", "at least 1", self.draws)

    def seeded(self, generator: Generator | None) -> StochasticEM:
        return self if self.generator is not None else replace(self, generator=generator)

    def pursue(self, rows: Rows, start: State, floor: Tensor, report: Report | None = None) -> list[Run]:
        best = _Best(start)
        wandering = _Wandering(self.draws, 0.0, self.prior, self.generator, frozen=self.frozen)
        run(wandering, rows, start, floor, report, best)
        given = {"acceleration": self.acceleration, "frozen": self.frozen}
        return run(EM(self.max_iterations, self.tolerance, self.prior, **given), rows, best.states(), floor, report)


@dataclass(frozen=True)
class _Wandering(EM):
    """The updates with drawn labels: no convergence, and no fall to speak of."""

    generator: Generator | None = None

    @property
    def labels(self) -> Labels:
        return Sampled(self.generator)

    @property
    def monotone(self) -> bool:  # type: ignore[override]
        return False

    def converged(self, one: Run, rounding: float) -> bool:
        return False


class _Best:
    """Watches the loop and keeps the best state of every chain, while its chain lasts."""

    def __init__(self, start: State) -> None:
        self.kept = [start.batch(b) for b in range(len(start.logits))]
        self.objective = [-torch.inf] * len(self.kept)

    def __call__(self, iteration: int, alive: list[int], state: State, objective: list[float]) -> None:
        for entry, (chain, value) in enumerate(zip(alive, objective, strict=True)):
            if value > self.objective[chain]:
                self.kept[chain], self.objective[chain] = state.batch(entry), value

    def states(self) -> State:
        return stack(self.kept)
