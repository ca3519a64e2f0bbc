"""Starts of EM on small tables, whose groups each have rows of their own: the loop, many updates a call."""

from __future__ import annotations

from dataclasses import dataclass, replace
from functools import cached_property, reduce
from typing import Any, Generic, Self, TypeVar

import numpy as np
from torch import Tensor

from ...data import Rows
from ...kernels.small import End, Limits, Outcome, States
from ...mixture import Mixture
from ..loop.leaps import REASONS, described, noted, told
from ..loop.method import Method
from ..loop.reason import Reason
from ..loop.traces import Report, Run
from .flight import Array, Flight
from .gaussian_kind import GaussianKind
from .kind import Kind
from .member_kind import MemberKind

__all__ = ["SmallFlight", "flown", "leap"]

_STRETCH = 100  # updates in a call, after which Ctrl-C is heard
StatesT = TypeVar("StatesT", bound=States)
_KINDS: tuple[type[Kind], ...] = GaussianKind, MemberKind


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
        traces: The objectives of each so far, (S, T), NaN after the last.
        ends: How each ended, (S,).
        notes: The particulars of that, (S, 2).
        interrupted: Whether Ctrl-C ended them.
    """

    method: Method
    kind: Kind
    starts: StatesT
    groups: int
    traces: Array
    ends: Array
    notes: Array
    interrupted: bool = False  # type: ignore[assignment]

    @classmethod
    def of(cls, method: Method, kind: Kind, starts: StatesT, groups: int) -> SmallFlight[StatesT]:
        """Starts that nothing was done with."""
        count = len(starts)
        nothing = np.full((count, 0), np.nan), np.full(count, End.RUNNING), np.zeros((count, 2))
        return cls(method, kind, starts, groups, *nothing)

    @cached_property
    def last(self) -> Array:
        """The objective where each start is, (S,)."""
        return (
            np.fmax.reduce(self.traces, 1, initial=-np.inf)
            if self.traces.shape[1]
            else np.full(len(self.ends), -np.inf)
        )

    @cached_property
    def objective(self) -> Array:  # type: ignore[override]
        broken = (self.ends != End.RUNNING) & (self.ends != End.CONVERGED)
        return np.where(broken, -np.inf, self.last).reshape(self.groups, -1)

    def advanced(self, updates: int) -> Self:
        going = np.flatnonzero(self.ends == End.RUNNING)
        if not len(going):
            return self
        limits = Limits(updates, self.method.tolerance, self.method.accelerated)
        some = self.starts if len(going) == len(self.ends) else self.starts.take(going)
        try:
            return self._with(going, *some.advanced(limits))
        except KeyboardInterrupt:
            return replace(self, interrupted=True)

    def _with(self, going: Array, moved: StatesT, found: Outcome) -> Self:
        states, ends, notes = self.starts.states.copy(), self.ends.copy(), self.notes.copy()
        states[going], ends[going], notes[going] = moved.states, found.ends, found.notes
        longest = int(found.lengths.max())
        seen = min(1, self.traces.shape[1])  # a stretch begins where the last one ended
        traces = np.full((len(states), longest - seen), np.nan)
        traces[going] = found.traces[:, seen:longest]
        starts = replace(self.starts, states=states)
        return replace(self, starts=starts, traces=np.hstack((self.traces, traces)), ends=ends, notes=notes)

    def finished(self, report: Report | None = None) -> Self:
        flight, made, most = self, 0, self.method.max_iterations
        while made < most and (flight.ends == End.RUNNING).any() and not flight.interrupted:
            seen = flight.traces.shape[1]
            flight = flight.advanced(min(_STRETCH, most - made))
            told(report, made, flight.traces[:, seen:])
            made += _STRETCH
        return flight

    def kept(self, index: Array) -> Self:
        width = len(self.ends) // self.groups
        flat = (index + np.arange(self.groups)[:, None] * width).reshape(-1)
        starts, traces = self.starts.take(flat), self.traces[flat]
        return replace(self, starts=starts, traces=traces, ends=self.ends[flat], notes=self.notes[flat])

    def alone(self, lines: Array, kind: Kind, starts: States) -> SmallFlight[Any]:
        """Some of the lines as a flight of one group, of that kind and with these starts."""
        parts = self.traces[lines], self.ends[lines], self.notes[lines]
        return SmallFlight(self.method, kind, starts, 1, *parts, self.interrupted)

    def joined(self, other: Self) -> SmallFlight[StatesT]:
        """These starts and others of the same single group."""
        pairs = zip((self.ends, self.notes), (other.ends, other.notes), strict=True)
        ends, notes = (np.concatenate(pair) for pair in pairs)
        longest = max(self.traces.shape[1], other.traces.shape[1])
        padded = [_padded(one.traces, longest) for one in (self, other)]
        starts, stopped = self.starts.joined(other.starts), self.interrupted or other.interrupted
        return SmallFlight(self.method, self.kind, starts, 1, np.concatenate(padded), ends, notes, stopped)

    def moves(self) -> SmallFlight[Any]:
        """All moves from all starts, of a single group, with which nothing was done."""
        each = [self.kind.moves(self.starts.take(np.array([one]))) for one in range(len(self.ends))]
        return SmallFlight.of(self.method, self.kind, reduce(States.joined, each), 1)

    def spurious(self, total: Array) -> Array:
        return self.kind.spurious(self.starts, total[self.starts.group]).reshape(self.groups, -1)

    def told(self) -> list[tuple[Reason, str, tuple[float, ...]]]:
        """Returns why each start ended, the particulars, and its objective by update."""
        ends = [REASONS[End(end)] for end in self.ends]
        details = [described(reason, *note) for reason, note in zip(ends, self.notes, strict=True)]
        known = ~np.isnan(self.traces)
        traces = [tuple(line[seen]) for line, seen in zip(self.traces, known, strict=True)]
        return list(zip(ends, details, traces, strict=True))

    def runs(self) -> list[Run]:
        """Returns how the starts went, as the loop notes it."""
        state = self.kind.mixture(self.starts)
        each = zip(self.traces, self.ends, self.notes, strict=True)
        runs = [noted(self.method, state, entry, *one) for entry, one in enumerate(each)]
        for one in runs if self.interrupted else []:
            one.reason = Reason.INTERRUPTED if one.reason is Reason.MAX_ITERATIONS else one.reason
        return runs


def _padded(traces: Array, longest: int) -> Array:
    """Traces (S, T) as (S, longest), with NaN behind them."""
    return np.pad(traces, ((0, 0), (0, longest - traces.shape[1])), constant_values=np.nan)
