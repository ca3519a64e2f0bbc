r"""The one loop of learning.

    repeat: statistics = sum over blocks of expect(mixture, block); mixture = update(statistics)

A method is two small functions: the labels rule used by ``expect``, and ``update``. The loop runs a whole batch of
starts at once through each block, watches each one's objective and says why it stopped.

Convergence is judged by the gain still to come. Near a fixed point the gains :math:`g_t` of the objective (nats per
row) shrink geometrically at a rate :math:`a = g_t / g_{t-1}`, so what remains is :math:`g_t\, a / (1 - a)` (Aitken); a
start has converged when that is below the tolerance.
"""

from __future__ import annotations

import math
from abc import ABC, abstractmethod
from collections.abc import Callable
from dataclasses import dataclass, field

import torch
from torch import Tensor

from ..components import Labels, Statistics
from ..data import Rows
from ..mixture import Mixture
from .families import Family
from .reason import Reason
from .statistics import expect

__all__ = ["Method", "Report", "Run", "run"]

Report = Callable[[int, float], None]
"""Called after every iteration with its number and the best objective, in nats per row."""


class Method(ABC):
    """A way to learn: a labels rule and an update, with a limit and a tolerance.

    Attributes:
        max_iterations: The largest number of updates.
        tolerance: The gain still to come, in nats per row, below which a start has converged; 0 runs all iterations.
    """

    max_iterations: int
    tolerance: float

    @property
    @abstractmethod
    def labels(self) -> Labels:
        """The labels rule."""

    def start(self, family: Family, x: Tensor, r: Tensor) -> Mixture:
        """Returns the batch of mixtures that responsibilities ``(N, B, K)`` of a sample suggest.

        A component without rows keeps a little weight, so that it is not dead from the start.
        """
        share = (r.sum(0) + 1 / r.shape[-1]) / (r.sum((0, 2)).unsqueeze(-1) + 1)
        return Mixture._of(share.log().to(x.dtype), family.start(x, r))

    @abstractmethod
    def update(self, statistics: Statistics, mixture: Mixture) -> Mixture:
        """Returns the mixture that the sums imply; NaN parameters where they imply none."""

    @abstractmethod
    def objective(self, statistics: Statistics, mixture: Mixture) -> Tensor:
        """Returns what the method ascends, in nats, with shape ``(B,)``."""


@dataclass
class Run:
    """How one start went: its objective before each update (nats per row), where it ended, and why."""

    batch: Mixture
    entry: int
    trace: list[float] = field(default_factory=list)
    reason: Reason = Reason.MAX_ITERATIONS
    detail: str = ""

    @property
    def mixture(self) -> Mixture:
        """The best mixture of the run; cut from its batch only when asked for."""
        return self.batch.batch(self.entry)

    @property
    def objective(self) -> float:
        """The objective of the mixture where the run ended, in nats per row."""
        return self.trace[-1] if self.trace else -math.inf


def run(method: Method, rows: Rows, mixture: Mixture, floor: Tensor, report: Report | None = None) -> list[Run]:
    """Runs the loop from every entry of a batch of mixtures.

    Arguments:
        method: The method, with its limit and tolerance.
        rows: The rows; each pass goes through them once for all starts together.
        mixture: The starts, with batch shape ``(B,)``.
        floor: The variance of each feature below which a component counts as collapsed, with shape ``(*event)``.
        report: Called after each iteration.

    Returns:
        One `Run` per start. Ctrl-C ends the loop and returns what there is.
    """
    runs = [Run(mixture, entry) for entry in range(mixture.batch_shape[0])]
    try:
        _iterate(method, rows, mixture, floor, runs, report)
    except KeyboardInterrupt:
        for one in runs:
            if one.reason is Reason.MAX_ITERATIONS:
                one.reason = Reason.INTERRUPTED
    return runs


def _iterate(
    method: Method, rows: Rows, mixture: Mixture, floor: Tensor, runs: list[Run], report: Report | None
) -> None:
    alive = list(range(len(runs)))
    for iteration in range(method.max_iterations + 1):
        statistics = expect(mixture, rows, method.labels)
        objective = (method.objective(statistics, mixture) / rows.total_weight).tolist()
        going = [_record(runs[i], mixture, b, objective[b], method.tolerance) for b, i in enumerate(alive)]
        if report is not None:
            report(iteration, max(one.objective for one in runs))
        if iteration == method.max_iterations or not any(going):
            return
        proposed = method.update(statistics, mixture)
        going = _judge_collapse(proposed, statistics, floor, going, [runs[i] for i in alive])
        alive, mixture = _keep(alive, proposed, going)
        if not alive:
            return


def _record(one: Run, mixture: Mixture, entry: int, objective: float, tolerance: float) -> bool:
    """Notes the objective of a start, keeps its mixture unless it got worse, and tells whether it goes on."""
    slack = 100 * torch.finfo(mixture.dtype).eps * max(1.0, abs(objective))
    if not math.isfinite(objective):
        one.reason = Reason.NOT_FINITE
        return False
    if one.trace and objective < one.trace[-1] - slack:
        one.reason, one.detail = Reason.FELL, f"It fell by {one.trace[-1] - objective:.3g} nats per row."
        return False
    one.trace.append(objective)
    one.batch, one.entry = mixture, entry
    if tolerance > 0 and _converged(one.trace, tolerance, slack / 100):
        one.reason = Reason.CONVERGED
        return False
    return True


def _converged(trace: list[float], tolerance: float, rounding: float) -> bool:
    if len(trace) < 3:
        return False
    gain, before = trace[-1] - trace[-2], trace[-2] - trace[-3]
    if gain <= rounding:
        return True
    rate = gain / before if before > 0 else 1.0
    return rate < 1 and gain < 10 * tolerance and gain * rate / (1 - rate) < tolerance


def _judge_collapse(
    proposed: Mixture, statistics: Statistics, floor: Tensor, going: list[bool], runs: list[Run]
) -> list[bool]:
    """Stops the starts whose proposed components collapsed; they keep their last good mixture."""
    collapsed = proposed.components.collapsed(floor)
    if not bool(collapsed.any()):
        return going
    for b, (one, bad) in enumerate(zip(runs, collapsed.tolist(), strict=True)):
        if any(bad) and going[b]:
            k = bad.index(True)
            one.reason = Reason.COLLAPSED
            one.detail = f"Component {k} holds {statistics.weight[b, k].item():.3g} rows."
            going[b] = False
    return going


def _keep(alive: list[int], mixture: Mixture, going: list[bool]) -> tuple[list[int], Mixture]:
    if all(going):
        return alive, mixture
    kept = [b for b, goes in enumerate(going) if goes]
    return [alive[b] for b in kept], mixture.batch(kept)
