r"""The one loop of learning.

    repeat: statistics = sum over blocks of expect(state, block); state = update(statistics, state)

A method is two small functions: the labels rule used by ``expect``, and ``update``. Mostly the state is a mixture; it
may be any value from which a method can make one, such as the posterior of variational Bayes. The loop runs a whole
batch of starts at once through each block, watches each one's objective and says why it stopped.

Convergence is judged by the gain still to come. Near a fixed point the gains :math:`g_t` of the objective (nats per
row) shrink geometrically at a rate :math:`a = g_t / g_{t-1}`, so what remains is :math:`g_t\, a / (1 - a)` (Aitken); a
start has converged when that is below the tolerance. A method that draws or tempers has no such limit: it says that it
is not monotone, and is then neither stopped for a fall nor for a small gain.
"""

from __future__ import annotations

import math
from abc import ABC, abstractmethod
from collections.abc import Callable
from dataclasses import dataclass, field, replace
from typing import Any, Self

import torch
from torch import Generator, Tensor

from ..components import Labels, Statistics
from ..data import Rows
from ..errors import refuse
from ..mixture import Mixture
from .families import Family
from .fitting import Fit
from .freeze import Freeze
from .reason import Reason
from .statistics import expect

__all__ = ["Method", "Report", "Run", "State", "Watch", "run", "stack"]

State = Any
"""What a method carries from one iteration to the next: a mixture, or a value of tensors with `map` and `batch`."""

Report = Callable[[int, float], None]
"""Called after every iteration with its number and the best objective, in nats per row."""

Watch = Callable[[int, list[int], State, list[float]], None]
"""Called every iteration with its number, the starts still going, their states and objectives: how draws are kept."""


class Method(ABC):
    """A way to learn: a labels rule and an update, with a limit and a tolerance.

    Attributes:
        max_iterations: The largest number of updates.
        tolerance: The gain still to come, in nats per row, below which a start has converged; 0 runs all iterations.
        monotone: Whether no update can lower the objective.
        races: Whether many starts get a short run on a sample and only the best go on.
        restarts: How many starts there are if the caller does not say.
        plain: Whether it reads only rows as they were drawn, with no label known.
        observes: Whether it learns from rows seen through an observation.
    """

    max_iterations: int
    tolerance: float
    monotone: bool = True
    races: bool = True
    restarts: int = 16
    plain: bool = False
    observes: bool = False

    # -- one iteration

    @property
    @abstractmethod
    def labels(self) -> Labels:
        """The labels rule."""

    @abstractmethod
    def update(self, statistics: Statistics, state: State) -> State:
        """Returns the state that the sums imply; NaN parameters where they imply none."""

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
        return self.tolerance > 0 and _no_gain_left(one.trace[one.climb :], self.tolerance, rounding)

    def expect(self, state: State, rows: Rows) -> Statistics:
        """Returns the sums over all rows: what the labels rule makes of them under the expected mixture."""
        return expect(self.expected(state), rows, self.labels)

    def collapsed(self, state: State, floor: Tensor) -> Tensor:
        """Tells which components ``(B, K)`` have shrunk below the variance ``floor``."""
        return state.components.collapsed(floor)

    # -- before and after

    def seeded(self, generator: Generator | None) -> Method:
        """Returns the method with a source of randomness, where it draws and has none of its own."""
        return self

    def freezing(self, freeze: Freeze) -> Method:
        """Returns the method with some parameters frozen."""
        advice = "EM and its variants, Gibbs and OnlineEM can freeze parameters."
        refuse("freeze", "none for this method", freeze, advice)

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
        return start

    def mixture(self, state: State) -> Mixture:
        """Returns the mixture that stands for a state."""
        return state

    def short(self, iterations: int) -> Method:
        """Returns the method for trying a start: a few iterations, no convergence."""
        limit = min(iterations, self.max_iterations)
        return replace(self, max_iterations=limit, tolerance=0)  # type: ignore[type-var]

    def pursue(self, rows: Rows, start: State, floor: Tensor, report: Report | None = None) -> list[Run]:
        """Runs every start to its end: the loop, for most methods."""
        return run(self, rows, start, floor, report)

    def result(self, runs: list[Run], rows: Rows) -> Fit:
        """Returns what the runs, best first, amount to."""
        best = runs[0]
        return Fit(self.mixture(best.state), **self.account(runs, rows))

    def account(self, runs: list[Run], rows: Rows) -> dict[str, Any]:
        """Returns what every fit says about how it was reached."""
        best = runs[0]
        return {
            "method": best.method,
            "reason": best.reason,
            "detail": best.detail,
            "trace": torch.tensor(best.trace, dtype=torch.float64),
            "restarts": torch.tensor([one.objective for one in runs], dtype=torch.float64),
            "rows": rows,
        }


@dataclass
class Run:
    """How one start went: its objective before each update (nats per row), where it ended, and why."""

    method: Method
    batch: State
    entry: int
    trace: list[float] = field(default_factory=list)
    reason: Reason = Reason.MAX_ITERATIONS
    detail: str = ""
    climb: int = 0  # where in the trace the objective began to be monotone
    kept: list[State] = field(default_factory=list)  # what a sampler keeps

    @property
    def state(self) -> State:
        """The state where the run ended, without batch dimension."""
        return self.batch.batch(self.entry)

    @property
    def objective(self) -> float:
        """The objective of the state where the run ended, in nats per row."""
        return self.trace[-1] if self.trace else -math.inf

    def ended(self, reason: Reason, detail: str = "") -> bool:
        """Notes why the run stopped."""
        self.reason, self.detail = reason, detail
        return False

    def after(self, earlier: Run) -> Self:
        """Returns this run with the trace of the one before it, which ended where this one starts."""
        return replace(self, trace=earlier.trace[:-1] + self.trace)


def run(
    method: Method, rows: Rows, start: State, floor: Tensor, report: Report | None = None, watch: Watch | None = None
) -> list[Run]:
    """Runs the loop from every entry of a batch of mixtures.

    Arguments:
        method: The method, with its limit and tolerance.
        rows: The rows; each pass goes through them once for all starts together.
        start: The starts, with batch shape ``(B,)``.
        floor: The variance of each feature below which a component counts as collapsed, with shape ``(*event)``.
        report: Called after each iteration.
        watch: Called with every iteration's states.

    Returns:
        One `Run` per start. Ctrl-C ends the loop and returns what there is.
    """
    method = method.informed(rows, start)
    runs = [Run(method, start, entry) for entry in range(len(method.expected(start).logits))]
    try:
        _iterate(method, rows, method.begin(start, rows), floor, runs, report, watch)
    except KeyboardInterrupt:
        for one in runs:
            if one.reason is Reason.MAX_ITERATIONS:
                one.reason = Reason.INTERRUPTED
    return runs


def stack(states: list[State]) -> State:
    """Returns states of one kind as a batch."""
    columns = zip(*map(_tensors, states), strict=True)
    return states[0].map(lambda tensor: torch.stack(next(columns)))


def _tensors(state: State) -> list[Tensor]:
    found: list[Tensor] = []
    state.map(lambda tensor: found.append(tensor) or tensor)
    return found


def _iterate(
    method: Method, rows: Rows, state: State, floor: Tensor, runs: list[Run], report: Report | None, watch: Watch | None
) -> None:
    alive = list(range(len(runs)))
    for iteration in range(method.max_iterations + 1):
        now = method.at(iteration)
        statistics = now.expect(state, rows)
        objective = (now.objective(statistics, state) / rows.total_weight).tolist()
        going = [_record(runs[i], state, b, objective[b], now) for b, i in enumerate(alive)]
        if watch is not None:
            watch(iteration, alive, state, objective)
        if report is not None:
            report(iteration, max(one.objective for one in runs))
        if iteration == method.max_iterations or not any(going):
            return
        proposed = now.update(statistics, state)
        collapsed = now.collapsed(proposed, floor)
        going = _judge_collapse(collapsed, statistics, going, [runs[i] for i in alive])
        alive, state = _keep(alive, proposed, going)
        if not alive:
            return


def _record(one: Run, state: State, entry: int, objective: float, method: Method) -> bool:
    """Notes the objective of a start, keeps its state unless it got worse, and tells whether it goes on."""
    mixture = method.expected(state)
    slack = 100 * torch.finfo(mixture.dtype).eps * max(1.0, abs(objective), mixture.components.magnitude)
    if not math.isfinite(objective):
        one.trace = one.trace or [-math.inf]
        return one.ended(Reason.NOT_FINITE)
    if method.monotone and len(one.trace) > one.climb and objective < one.trace[-1] - slack:
        return one.ended(Reason.FELL, f"It fell by {one.trace[-1] - objective:.3g} nats per row.")
    one.trace.append(objective)
    one.batch, one.entry = state, entry
    if not method.monotone:
        one.climb = len(one.trace)
    return not method.converged(one, slack / 100) or one.ended(Reason.CONVERGED)


def small_change(trace: list[float], tolerance: float) -> bool:
    """Tells whether the last change of the objective, up or down, is below the tolerance."""
    return len(trace) > 1 and abs(trace[-1] - trace[-2]) < tolerance


def _no_gain_left(trace: list[float], tolerance: float, rounding: float) -> bool:
    if len(trace) < 3:
        return False
    gain, before = trace[-1] - trace[-2], trace[-2] - trace[-3]
    if gain <= rounding:
        return True
    rate = gain / before if before > 0 else 1.0
    return rate < 1 and gain < 10 * tolerance and gain * rate / (1 - rate) < tolerance


def _judge_collapse(collapsed: Tensor, statistics: Statistics, going: list[bool], runs: list[Run]) -> list[bool]:
    """Stops the starts whose proposed components collapsed; they keep their last good state."""
    if not bool(collapsed.any()):
        return going
    for b, (one, bad) in enumerate(zip(runs, collapsed.tolist(), strict=True)):
        if any(bad) and going[b]:
            k = min((k for k, is_bad in enumerate(bad) if is_bad), key=statistics.weight[b].tolist().__getitem__)
            going[b] = one.ended(Reason.COLLAPSED, f"Component {k} holds {statistics.weight[b, k].item():.3g} rows.")
    return going


def _keep(alive: list[int], state: State, going: list[bool]) -> tuple[list[int], State]:
    if all(going):
        return alive, state
    kept = [b for b, goes in enumerate(going) if goes]
    return [alive[b] for b in kept], state.batch(kept)
