"""Starts of EM for Gaussians on small tables, whose groups each have rows of their own."""

from __future__ import annotations

from dataclasses import dataclass, replace
from functools import cached_property
from typing import Self

import numpy as np

from ...kernels.small import End, Limits, Outcome, Starts
from ...mixture import Mixture
from ..loop.leaps import REASONS, STRETCH, described, state_of, told
from ..loop.method import Method
from ..loop.reason import Reason
from ..loop.traces import Report, Run
from .flight import Array, Flight
from .spurious import spurious

__all__ = ["SmallFlight"]


@dataclass(frozen=True, eq=False)
class SmallFlight(Flight):
    """Starts as the kernels advance them; a start's line of arrays is that of its group times B, and its place there.

    Arguments:
        method: The method.
        starts: Where they are.
        groups: The number of groups G.
        traces: The objectives of each so far, (S, T), NaN after the last.
        ends: How each ended, (S,).
        notes: The particulars of that, (S, 2).
        interrupted: Whether Ctrl-C ended them.
    """

    method: Method
    starts: Starts
    groups: int
    traces: Array
    ends: Array
    notes: Array
    interrupted: bool = False  # type: ignore[assignment]

    @classmethod
    def of(cls, method: Method, starts: Starts, groups: int) -> SmallFlight:
        """Starts that nothing was done with."""
        count = len(starts)
        nothing = np.full((count, 0), np.nan), np.full(count, End.RUNNING), np.zeros((count, 2))
        return cls(method, starts, groups, *nothing)

    @cached_property
    def last(self) -> Array:
        """The objective where each start is, (S,)."""
        return (
            np.fmax.reduce(self.traces, 1, initial=-np.inf)
            if self.traces.shape[1]
            else np.full(len(self.ends), -np.inf)
        )

    @property
    def objective(self) -> Array:
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

    def _with(self, going: Array, moved: Starts, found: Outcome) -> Self:
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
            flight = flight.advanced(min(STRETCH, most - made))
            told(report, made, flight.traces[:, seen:])
            made += STRETCH
        return flight

    def kept(self, index: Array) -> Self:
        width = len(self.ends) // self.groups
        flat = (index + np.arange(self.groups)[:, None] * width).reshape(-1)
        starts, traces = self.starts.take(flat), self.traces[flat]
        return replace(self, starts=starts, traces=traces, ends=self.ends[flat], notes=self.notes[flat])

    def alone(self, lines: Array, starts: Starts) -> SmallFlight:
        """Some of the lines as a flight of one group, whose starts are these."""
        parts = self.traces[lines], self.ends[lines], self.notes[lines]
        return SmallFlight(self.method, starts, 1, *parts, self.interrupted)

    def joined(self, other: SmallFlight) -> SmallFlight:
        """These starts and others of the same single group."""
        pairs = zip((self.ends, self.notes), (other.ends, other.notes), strict=True)
        ends, notes = (np.concatenate(pair) for pair in pairs)
        longest = max(self.traces.shape[1], other.traces.shape[1])
        padded = [_padded(one.traces, longest) for one in (self, other)]
        states = np.concatenate([self.starts.states, other.starts.states])
        starts = replace(self.starts, states=states, group=np.concatenate([self.starts.group, other.starts.group]))
        stopped = self.interrupted or other.interrupted
        return SmallFlight(self.method, starts, 1, np.concatenate(padded), ends, notes, stopped)

    def spurious(self, total: Array) -> Array:
        weights, each = np.exp(self.starts.logits), total[self.starts.group]
        found = spurious(weights, self.starts.mean, self.starts.covariance, each)
        return (found.any(1) & ~self.starts.tied).reshape(self.groups, -1)

    def told(self) -> list[tuple[Reason, str, tuple[float, ...]]]:
        """Returns why each start ended, the particulars, and its objective by update."""
        ends = [REASONS[End(end)] for end in self.ends]
        details = [described(reason, *note) for reason, note in zip(ends, self.notes, strict=True)]
        known = ~np.isnan(self.traces)
        traces = [tuple(line[seen]) for line, seen in zip(self.traces, known, strict=True)]
        return list(zip(ends, details, traces, strict=True))

    def runs(self, like: Mixture, group: int = 0) -> list[Run]:
        """Returns how the starts of one group went, as the loop notes it; states are mixtures like another."""
        width = len(self.ends) // self.groups
        lines = np.arange(group * width, (group + 1) * width)
        state = state_of(self.starts.take(lines), like)
        return [self._run(state, entry, line) for entry, line in enumerate(lines.tolist())]

    def _run(self, state: Mixture, entry: int, line: int) -> Run:
        reason, trace = REASONS[End(self.ends[line])], self.traces[line]
        if self.interrupted and reason is Reason.MAX_ITERATIONS:
            reason = Reason.INTERRUPTED
        detail = described(reason, *self.notes[line])
        return Run(self.method, state, entry, trace[~np.isnan(trace)].tolist() or [-np.inf], reason, detail)


def _padded(traces: Array, longest: int) -> Array:
    """Traces (S, T) as (S, longest), with NaN behind them."""
    return np.pad(traces, ((0, 0), (0, longest - traces.shape[1])), constant_values=np.nan)
