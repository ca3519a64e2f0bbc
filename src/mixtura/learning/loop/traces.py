r"""Judging a trace: how one start went, and whether it gains any more.

Near a fixed point the gains :math:`g_t` of the objective (nats per row) shrink geometrically at a rate
:math:`a = g_t / g_{t-1}`, so what remains is :math:`g_t\, a / (1 - a)` (Aitken).
"""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass, field, replace
from statistics import fmean
from typing import TYPE_CHECKING, Any, Self

import torch
from torch import Tensor

from .reason import Reason

if TYPE_CHECKING:
    from .method import Method

__all__ = ["Report", "Run", "State", "merged", "no_gain_left", "small_change", "stack"]

State = Any
"""What a method carries from one iteration to the next: a mixture, or a value of tensors with `map` and `batch`."""


Report = Callable[[int, float], None]
"""Called after every iteration with its number and the best objective, in nats per row."""


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
    spurious: bool = False  # at an optimum that is none of the data's
    given_up: bool = False  # because it could not pass where another start ended
    found: int = 1  # how many starts came to the same optimum
    far: float = 0.0  # how many plain updates the rest of the way was, by the last extrapolations
    noise: float = 0.0  # the largest fall that rounding explained, in nats per row
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


def stack(states: list[State]) -> State:
    """Returns states of one kind as a batch."""
    columns = zip(*map(_tensors, states), strict=True)
    return states[0].map(lambda tensor: torch.stack(next(columns)))


def merged(mask: Tensor, one: State, other: State) -> State:
    """Returns a batch of states: those of one where the mask ``(B,)`` holds, those of the other elsewhere."""
    others = iter(_tensors(other))

    def choose(mine: Tensor) -> Tensor:
        return torch.where(mask.to(mine.device).reshape(-1, *(1,) * (mine.ndim - 1)), mine, next(others))

    return one.map(choose)


def _tensors(state: State) -> list[Tensor]:
    found: list[Tensor] = []
    state.map(lambda tensor: found.append(tensor) or tensor)
    return found


def small_change(trace: list[float], tolerance: float) -> bool:
    """Tells whether the last change of the objective, up or down, is below the tolerance."""
    return len(trace) > 1 and abs(trace[-1] - trace[-2]) < tolerance


def no_gain_left(trace: list[float], tolerance: float, rounding: float, far: float = 0.0) -> bool:
    """Tells whether the gain still to come is below the tolerance, or lost in rounding.

    Arguments:
        trace: The objectives.
        tolerance: The least gain that is worth going on for.
        rounding: The rounding of the objective.
        far: How many plain updates the rest of the way was by extrapolation, infinite until that is known, and zero
            where nothing is extrapolated.

    The first updates after a start, and rounding, may make one gain small by chance: two in a row must be. Where gains
    of the size of the tolerance are not clear of rounding, those of as many updates are judged together as make them
    so, or of a quarter of all: the rate of the last few is that of what follows.
    """
    together = math.ceil(min(max(1.0, _CLEAR * rounding / tolerance), max(_FEWEST, len(trace) // 4)))
    still = max(2, min(together, _FEWEST))
    if len(trace) > still and all(value == trace[-1] for value in trace[-1 - still :]):
        return True
    if len(trace) <= 2 * together:
        return False
    gain, before = _gains(trace, together, 0)
    if _lost(trace, together, rounding):
        return True
    if far > 0:  # after extrapolation gains shrink by no rate: plain ones may go on for so many updates
        return max(gain, before) * _SLOWER * far < tolerance * together
    known = len(trace) > 2 * together + 1
    return known and _little(gain, before, tolerance) and _little(*_gains(trace, together, 1), tolerance)


def _gains(trace: list[float], together: int, ago: int) -> tuple[float, float]:
    """The last gain of so many updates, and the one before it, as they were some updates ago."""
    late, middle, early = (trace[-1 - ago - many * together] for many in range(3))
    return late - middle, middle - early


def _little(gain: float, before: float, tolerance: float) -> bool:
    """Tells whether gains that shrink like two in a row add up to less than the tolerance."""
    rate = gain / before if before > 0 else 1.0
    return rate < 1 and gain < 10 * tolerance and gain * rate / (1 - rate) < tolerance


def _lost(trace: list[float], together: int, rounding: float) -> bool:
    """Tells whether the last gain is lost in rounding: of many updates on average, and not where it put one low."""
    if together == 1:
        return trace[-1] - trace[-2] <= rounding
    late, early = fmean(trace[-together:]), fmean(trace[-2 * together : -together])
    size = rounding / math.sqrt(together)
    return late - early <= size and (trace[-1] >= late - size or late < early)


_SLOWER = 3.0  # times as slow as steps that mix all directions tell: the slowest of them alone
_CLEAR = 100.0  # how far above rounding a gain is known to two digits
_FEWEST = 10  # updates whose gains are judged together where rounding hides them
