"""Starts of EM on small tables, whose groups each have rows of their own: the loop, many updates a call."""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass, replace
from functools import cached_property, partial
from typing import Any, Generic, Self, TypeVar

import numpy as np
from torch import Tensor

from ...data import Rows
from ...kernels.small import End, Limits, Outcome, States, put
from ...mixture import Mixture
from ..loop.leaps import REASONS, described, noted, told
from ..loop.method import Method
from ..loop.reason import Reason
from ..loop.traces import Report, Run
from .count_kind import CountKind
from .flight import Array, Flight
from .gaps_kind import GapsKind
from .gaussian_kind import GaussianKind
from .kind import Kind
from .lifetimes_kind import LifetimesKind
from .log_normal_kind import LogNormalKind
from .member_kind import MemberKind
from .regression_kind import RegressionKind
from .small_traces import Traces
from .tails_kind import TailsKind

__all__ = ["SmallFlight", "flown", "leap"]

_RUNNING, _CONVERGED = int(End.RUNNING), int(End.CONVERGED)
_STRETCH = 100  # updates in a call, after which Ctrl-C is heard
StatesT = TypeVar("StatesT", bound=States)
_KINDS: tuple[type[Kind], ...] = (
    GaussianKind,
    GapsKind,
    LogNormalKind,
    MemberKind,
    CountKind,
    TailsKind,
    LifetimesKind,
    RegressionKind,
)


def flown(method: Method, rows: Rows, start: Mixture, floor: Tensor) -> SmallFlight[Any] | None:
    """Returns a batch of mixtures as a flight of one group; none where the kernels do not serve them on these rows."""
    found = next((kind.of(start) for kind in _KINDS if kind.serves(rows, start)), None)
    return None if found is None else SmallFlight.of(method, found, found.states(rows, start, floor), 1)


def leap(method: Method, rows: Rows, start: Mixture, floor: Tensor, report: Report | None) -> list[Run] | None:
    """Runs EM from every entry of a batch of mixtures, as `run` does; none where the kernels do not serve them."""
    flight = flown(method, rows, start, floor)
    return None if flight is None else flight.finished(report).runs()


@dataclass(frozen=True, eq=False)
class SmallFlight(Flight, Generic[StatesT]):
    """Starts as the kernels advance them; a start's line of arrays is that of its group times B, and its place there.

    Arguments:
        method: The method.
        kind: What is known of their components.
        starts: Where they are.
        groups: The number of groups G.
        last: The objective where each is, (S,); minus infinity where it never had one.
        traces: The objectives of each so far.
        ends: How each ended, (S,).
        notes: The particulars of that, (S, 2).
        interrupted: Whether Ctrl-C ended them.
    """

    method: Method
    kind: Kind
    starts: StatesT
    groups: int
    last: Array
    traces: Traces
    ends: Array
    notes: Array
    interrupted: bool = False  # type: ignore[assignment]

    @classmethod
    def of(cls, method: Method, kind: Kind, starts: StatesT, groups: int) -> SmallFlight[StatesT]:
        """Starts that nothing was done with."""
        count = len(starts)
        nothing = np.full(count, -np.inf), Traces.of_none(count), np.full(count, _RUNNING), np.zeros((count, 2))
        return cls(method, kind, starts, groups, *nothing)

    @cached_property
    def objective(self) -> Array:  # type: ignore[override]
        broken = self.ends > _CONVERGED
        return np.where(broken, -np.inf, self.last).reshape(self.groups, -1)

    def advanced(self, updates: int, sought: float = -np.inf) -> Self:
        going = np.flatnonzero(self.ends == _RUNNING)
        if not len(going):
            return self
        limits = Limits(updates, self.method.tolerance, self.method.accelerated, sought)
        some = self.starts if len(going) == len(self.ends) else self.starts.take(going)
        try:
            return self._with(going, *some.advanced(limits))
        except KeyboardInterrupt:
            return replace(self, interrupted=True)

    def _with(self, going: Array, moved: StatesT, found: Outcome) -> Self:
        traces, starts = self.traces.further(going, found), self.starts.put(going, moved)
        last = put(self.last, going, np.fmax(self.last[going], found.last))
        ends, notes = put(self.ends, going, found.ends), put(self.notes, going, found.notes)
        return type(self)(self.method, self.kind, starts, self.groups, last, traces, ends, notes)

    def finished(self, report: Report | None = None, sought: float = -np.inf) -> Self:
        flight, made, most = self, 0, self.method.max_iterations
        while made < most and (flight.ends == _RUNNING).any() and not flight.interrupted:
            seen = len(flight.traces.pieces)
            flight = flight.advanced(min(_STRETCH, most - made), sought)
            for piece in flight.traces.pieces[seen:]:
                told(report, made, piece.values)
            made += _STRETCH
        return flight

    def kept(self, index: Array) -> Self:
        width = len(self.ends) // self.groups
        flat = (index + np.arange(self.groups)[:, None] * width).reshape(-1)
        starts, parts = self.starts.take(flat), self._parts(flat)
        return type(self)(self.method, self.kind, starts, self.groups, *parts, self.interrupted)

    def alone(self, lines: Array, kind: Kind, starts: States) -> SmallFlight[Any]:
        """Some of the lines as a flight of one group, of that kind and with these starts."""
        return SmallFlight(self.method, kind, starts, 1, *self._parts(lines), self.interrupted)

    def _parts(self, lines: Array) -> tuple[Array, Traces, Array, Array]:
        """What is known of some of the lines."""
        return self.last[lines], self.traces.kept(lines), self.ends[lines], self.notes.take(lines, 0)

    @property
    def first(self) -> Self:
        """The first start of each group."""
        return self.kept(np.zeros((self.groups, 1), np.int64))

    def chosen(self, which: Array) -> Self:
        """The starts of a single group where a mask (1, B) holds."""
        return self if which.all() else self.kept(np.flatnonzero(which[0])[None])

    @property
    def each(self) -> list[Callable[[], Self]]:
        """The starts of a single group, one by one, each made when it is called for."""
        return [partial(self.kept, np.array([[line]])) for line in range(len(self.ends))]

    @property
    def moves(self) -> SmallFlight[Any]:
        """All moves from a single start, with which nothing was done."""
        return SmallFlight.of(self.method, self.kind, self.kind.moves(self.starts), 1)

    def spurious(self, total: Array) -> Array:
        return self.kind.spurious(self.starts, total[self.starts.group]).reshape(self.groups, -1)

    def told(self, line: int) -> tuple[Reason, str, tuple[float, ...]]:
        """Returns why a start ended, the particulars, and its objective by update."""
        reason = REASONS[End(self.ends[line])]
        trace = self.traces.of(line).tolist() or [-math.inf]
        return reason, described(reason, *self.notes[line]), tuple(trace)

    def runs(self) -> list[Run]:
        """Returns how the starts went, as the loop notes it."""
        state = self.kind.mixture(self.starts)
        each = zip(map(self.traces.of, range(len(self.ends))), self.ends, self.notes, strict=True)
        runs = [noted(self.method, state, entry, *one) for entry, one in enumerate(each)]
        for one in runs if self.interrupted else []:
            one.reason = Reason.INTERRUPTED if one.reason is Reason.MAX_ITERATIONS else one.reason
        return runs
