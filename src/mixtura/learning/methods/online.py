r"""Online EM: one pass over a stream of blocks, with running sums that forget (Cappé and Moulines, 2009).

With :math:`\bar s` the expected statistics per row and :math:`\hat s_t` those of block t under the current mixture,

.. math:: \bar s_t = (1 - \gamma_t)\, \bar s_{t-1} + \gamma_t\, \hat s_t, \qquad
    \gamma_t = (t + t_0)^{-a}, \quad \tfrac12 < a \le 1,

and the mixture after block t is the one that :math:`\bar s_t` implies. It is the one loop over rows of which every pass
reads only the next block; the sums are restated about the new parameters after each update, so that families whose
moments are taken about the current means need not keep raw second moments.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field, replace
from typing import Any

import torch
from torch import Tensor

from ...components import Component, Family, Labels, Statistics
from ...components.observation import Observation
from ...data import Block, Rows, is_table
from ...errors import refuse
from ...mixture import Mixture
from ...mixture.prior import Prior
from ..expectation.labels import soft
from ..expectation.recorded import recorded
from ..loop.method import Method
from ..loop.reason import Reason
from ..loop.run import run
from ..loop.traces import Report, Run, State
from ..results.fit import Fit
from .em import EM, check_weights
from .freeze import Freeze

__all__ = ["OnlineEM", "OnlineFit", "Running"]


@dataclass(frozen=True, eq=False)
class Running:
    """What online EM carries on: the mixture, the running sums per row, and how many rows they stand for.

    Arguments:
        mixture: The current mixture, with or without a batch dimension.
        statistics: The running sums per row, about the mixture's parameters; none before the first block.
        rows: The total weight of the rows read.
    """

    mixture: Mixture
    statistics: Statistics | None = None
    rows: float = 0.0

    @property
    def logits(self) -> Tensor:
        """The log-weights of the mixture."""
        return self.mixture.logits

    @property
    def components(self) -> Component:
        """The components of the mixture."""
        return self.mixture.components

    def map(self, function: Callable[[Tensor], Tensor]) -> Running:
        """Returns the same with a function applied to each tensor."""
        mapped = self.statistics and self.statistics.map(function)
        return replace(self, mixture=self.mixture.map(function), statistics=mapped)

    def batch(self, index: Any) -> Running:
        """Returns the entries that ``index`` selects along the batch dimension."""
        return self.map(lambda tensor: tensor[index])


@dataclass(frozen=True)
class OnlineEM(Method):
    r"""Online expectation maximisation: decayed running sums, block by block.

    Arguments:
        passes: How often the rows are gone through.
        block: How many rows are read between two updates.
        exponent: The power :math:`a` of the decay schedule, above 1/2 and at most 1; 1 forgets nothing.
        delay: The offset :math:`t_0 \ge 1`; larger ones take smaller first steps.
        prior: A conjugate prior, which counts against all rows read.
        seen: How many blocks were read before: the place in the schedule.
        frozen: What stays as in the start; ``freeze=`` of `fit` sets it.

    The trace holds the log-density of each block, in nats per row, under the mixture learned from those before it.

    Example:
        >>> x = mx.datasets.old_faithful()
        >>> fit = mx.fit(x[:200], components=2, method=mx.OnlineEM(block=50, passes=20))
        >>> fit = fit.partial_fit(x[200:])
        >>> fit.mixture.weights.max().round(decimals=1)
        tensor(0.6000, dtype=torch.float64)
    """

    passes: int = 1
    block: int = 1000
    exponent: float = 0.6
    delay: float = 2.0
    prior: Prior | None = None
    seen: int = 0
    max_iterations: int = field(default=10**9, repr=False)
    frozen: Freeze | None = field(default=None, kw_only=True)

    tolerance = 0.0
    monotone = False
    observes = True

    def __post_init__(self) -> None:
        counts = ("passes", self.passes, 1), ("block", self.block, 1), ("delay", self.delay, 1), ("seen", self.seen, 0)
        for name, came, least in counts:
            if not came >= least:
                refuse(name, f"at least {least}", came)
        if not 0.5 < self.exponent <= 1:
            refuse("exponent", "above 1/2 and at most 1, or the running sums do not settle", self.exponent)
        EM(prior=self.prior)

    @property
    def labels(self) -> Labels:
        return soft

    @property
    def _step(self) -> EM:
        return EM(prior=self.prior, frozen=self.frozen)

    def freezing(self, freeze: Freeze) -> OnlineEM:
        EM(prior=self.prior).freezing(freeze)
        return replace(self, frozen=freeze)

    def held(self, new: Mixture, old: Mixture) -> Mixture:
        return new if self.frozen is None else self.frozen.kept(new, old)

    def parameters(self, mixture: Mixture) -> int:
        return self._step.parameters(mixture)

    @property
    def rate(self) -> float:
        r"""The step :math:`\gamma` of the next block."""
        return (self.seen + self.delay) ** -self.exponent

    def at(self, iteration: int) -> OnlineEM:
        return replace(self, seen=self.seen + iteration)

    def begin(self, start: State, rows: Rows) -> Running:
        check_weights(self.prior, start.components)
        return start if isinstance(start, Running) else Running(start)

    def expected(self, state: State) -> Mixture:
        return self.mixture(state)

    def mixture(self, state: State) -> Mixture:
        return state.mixture if isinstance(state, Running) else state

    def update(self, statistics: Statistics, state: Running) -> Running:
        weight = statistics.weight.reshape(-1, statistics.weight.shape[-1])[0].sum().item()
        mean = statistics.scale(1 / weight)
        if state.statistics is not None:
            mean = state.statistics.scale(1 - self.rate) + mean.scale(self.rate)
        rows = state.rows + weight
        mixture = self._step.update(mean.scale(rows), state.mixture)
        return Running(mixture, mixture.components.restated(mean, state.components), rows)

    def objective(self, statistics: Statistics, state: Running) -> Tensor:
        return statistics.log_likelihood

    def short(self, iterations: int) -> EM:
        return EM(iterations, 0, self.prior)

    def pursue(self, rows: Rows, start: State, floor: Tensor, report: Report | None = None) -> list[Run]:
        start = start if isinstance(start, Running) else super().begin(start, rows)  # all rows may bound components
        stream = Stream(rows, self.block)
        limited = replace(self, max_iterations=min(self.max_iterations, self.passes * stream.count))
        runs = run(limited, stream, start, floor, report)
        for one in runs:
            one.reason = Reason.FINISHED if one.reason is Reason.MAX_ITERATIONS else one.reason
        return runs

    def result(self, runs: list[Run], rows: Rows, family: Family) -> OnlineFit:
        state = runs[0].state
        account = {**self.account(runs, rows, family), "method": replace(self, seen=self.seen + len(runs[0].trace) - 1)}
        return OnlineFit(self.mixture(state), **account, state=state)


@dataclass(frozen=True, eq=False, repr=False)
class OnlineFit(Fit):
    """What online EM returns: the mixture, and the running sums with which it goes on.

    Arguments:
        state: The mixture and its running sums.
    """

    state: Running = field(repr=False)

    def partial_fit(self, x: Any, sample_weight: Any = None, columns: Any = None, observation: Any = None) -> OnlineFit:
        """Learns from one more block of rows and returns the new fit; this one stays as it is.

        Arguments:
            x: The rows, in any form that `fit` takes; read as one block.
            sample_weight: How much each row counts.
            columns: Which columns of a table; by default those of the rows before, by name.
            observation: How these rows were recorded, as in `fit`; if nothing is said, as all those before them.

        Raises:
            MixtureError: If the rows do not have the shape of the mixture's, or each of those before them was recorded
                in its own way and nothing is said of these.
        """
        columns = self.rows.columns if columns is None and is_table(x) and not isinstance(x, Rows) else columns
        rows = recorded(x, columns, sample_weight, observation)
        rows = rows.through(self._observation) if observation is None and rows.observation.exact else rows
        if rows.clean_shape != self.mixture.event_shape:
            refuse("x", f"rows of shape {tuple(self.mixture.event_shape)}", tuple(rows.clean_shape))
        method, state = self.method, self.state.map(lambda tensor: tensor.unsqueeze(0))
        statistics = method.expect(state, rows)
        objective = statistics.log_likelihood.cpu() / rows.total_weight
        after = method.update(statistics, state).batch(0)
        return replace(
            self,
            mixture=after.mixture.named(self.mixture.columns),
            state=after,
            method=method.at(1),
            trace=torch.cat((self.trace, objective.double())),
            rows=rows,
        )

    @property
    def _observation(self) -> Observation:
        """How further rows are recorded if nothing is said of them."""
        if self.rows.observation.side:
            refuse("observation", "given for these rows, for each of those before was recorded in its own way", None)
        return self.rows.observation


class Stream(Rows):
    """Rows of which every pass reads only the next block, over and over again."""

    def __init__(self, rows: Rows, size: int) -> None:
        self.columns, self.event_shape, self.dtype, self.device = (
            rows.columns,
            rows.event_shape,
            rows.dtype,
            rows.device,
        )
        self.observation, self.possible = rows.observation, rows.possible
        self._rows, self._size = rows, size
        self._going: Iterator[Block] = iter(())
        self._last: Block | None = None

    @property
    def count(self) -> int:
        """The number of blocks."""
        return math.ceil(len(self._rows) / self._size)

    def __len__(self) -> int:
        return len(self._rows)

    @property
    def weight(self) -> Tensor | None:
        return self._rows.weight

    @property
    def total_weight(self) -> float:  # type: ignore[override]
        """The total weight of the block read last."""
        return self._rows.total_weight if self._last is None else self._last.weights.double().sum().item()

    def blocks(self, size: int) -> Iterator[Block]:
        """The next block alone."""
        found = next(self._going, None)
        if found is None:
            self._going = self._rows.blocks(self._size)
            found = next(self._going)
        self._last = found
        yield found

    def _blocks(self, size: int) -> Iterator[Block]:
        return self.blocks(size)
