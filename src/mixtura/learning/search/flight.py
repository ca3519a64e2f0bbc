"""Starts under way, of which some are given up and the others go on."""

from __future__ import annotations

from abc import ABC, abstractmethod
from dataclasses import dataclass, replace
from typing import Any, Self

import numpy as np
from numpy.typing import NDArray
from torch import Tensor

from ...data import Rows
from ...mixture import Mixture
from ..loop.method import Method
from ..loop.reason import Reason
from ..loop.run import run
from ..loop.traces import Report, Run, State, stack
from .spurious import spurious_components

__all__ = ["BROKEN", "Array", "Flight", "Runs"]

Array = NDArray[Any]


class Flight(ABC):
    """B starts of a method for each of G groups of rows."""

    method: Method

    @property
    @abstractmethod
    def objective(self) -> Array:
        """How far each start has come, in nats by row, (G, B); minus infinity where it broke."""

    @abstractmethod
    def advanced(self, updates: int) -> Self:
        """The starts after so many updates, those that did not end before."""

    @abstractmethod
    def finished(self, report: Report | None = None) -> Self:
        """The starts where they end."""

    @abstractmethod
    def kept(self, index: Array) -> Self:
        """Some of the starts, (G, B')."""

    @abstractmethod
    def spurious(self, total: Array) -> Array:
        """Tells which starts are at an optimum that is none of the data's, (G, B); rows of each group weigh so much."""

    @property
    def given_up(self) -> Array:
        """Tells which starts could not win any more and were left where they were, (G, B)."""
        return np.zeros(self.objective.shape, np.bool_)

    @property
    @abstractmethod
    def interrupted(self) -> bool:
        """Whether Ctrl-C ended them."""


BROKEN = (Reason.COLLAPSED, Reason.NOT_FINITE, Reason.FELL)


@dataclass(frozen=True, eq=False)
class Runs(Flight):
    """Starts of any method on any rows, in one group, by the loop.

    Arguments:
        method: The method.
        runs: How each went so far.
        rows: The rows.
        floor: The variance below which a component has collapsed.
    """

    method: Method
    runs: list[Run]
    rows: Rows
    floor: Tensor

    @classmethod
    def of(cls, method: Method, start: State, rows: Rows, floor: Tensor) -> Runs:
        """Starts, with batch shape ``(B,)``, that nothing was done with."""
        count = len(method.expected(start).logits)
        return cls(method, [Run(method, start, entry) for entry in range(count)], rows, floor)

    @property
    def objective(self) -> Array:
        return np.array([[-np.inf if one.reason in BROKEN else one.objective for one in self.runs]])

    def advanced(self, updates: int) -> Self:
        return self._further(lambda start: run(self.method.short(updates), self.rows, start, self.floor))

    def finished(self, report: Report | None = None) -> Self:
        if not self.method.alone:
            return self._further(lambda start: self.method.pursue(self.rows, start, self.floor, report))
        return self._further(lambda start: run(self.method, self.rows, start, self.floor, report, rivals=self._sound))

    def _sound(self, state: State) -> bool:
        """Whether an end is one of the data's, which others must pass."""
        return not self._spurious(self.method.mixture(state), self.rows.total_weight)

    @property
    def given_up(self) -> Array:
        return np.array([[one.given_up for one in self.runs]])

    def _further(self, go: Any) -> Self:
        going = [one for one in self.runs if one.reason is Reason.MAX_ITERATIONS]
        if not going:
            return self
        after = iter(go(stack([one.state for one in going])))
        runs = [next(after).after(one) if one.reason is Reason.MAX_ITERATIONS else one for one in self.runs]
        return replace(self, runs=runs)

    def kept(self, index: Array) -> Self:
        return replace(self, runs=[self.runs[b] for b in index[0].tolist()])

    def spurious(self, total: Array) -> Array:
        mixtures = (self.method.mixture(one.state) for one in self.runs)
        return np.array([[self._spurious(one, total[0]) for one in mixtures]])

    def _spurious(self, mixture: Mixture, total: float) -> bool:
        return bool(spurious_components(mixture, total, self.rows.observation))

    @property
    def interrupted(self) -> bool:
        return any(one.reason is Reason.INTERRUPTED for one in self.runs)
