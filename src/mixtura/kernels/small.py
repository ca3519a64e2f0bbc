r"""Small tables: many updates of many starts in one compiled call, for rows that fit the cache.

At some hundred rows the arithmetic of an update takes microseconds, and the calls that order it a hundred times that.
So the whole of it is compiled: E-step, M-step, extrapolation, and the tests for collapse, a fall and convergence;
Python reads the trace. It works in float64 whatever the rows are, about the mean of each column. Starts may have rows
of their own: a `Table` holds groups of rows one after another.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from dataclasses import dataclass, replace
from types import ModuleType
from typing import Any, ClassVar, NamedTuple, Self

import numpy as np
from numpy.typing import NDArray
from torch import Tensor

from .compiled import small_module
from .steps import End
from .threads import in_threads, workers

__all__ = [
    "GRAIN",
    "Clusters",
    "End",
    "Limits",
    "Outcome",
    "States",
    "Table",
    "clusters",
    "compiled",
    "counted",
    "put",
    "small",
]

Array = NDArray[Any]

_MOST_NUMBERS = 2**18  # of rows times columns: what passes quickly from the second cache
_MOST_FEATURES = 16
_DRIVER = "driver"
GRAIN = 2_000_000  # row-components worth another thread: about some milliseconds


class Limits(NamedTuple):
    """How far starts are advanced: updates, the gain still to come at which one ends, and whether to extrapolate.

    A start that will not come to the objective ``sought``, by the pace of its last updates, is given up as hopeless.
    """

    updates: int
    tolerance: float
    accelerated: bool
    sought: float = -np.inf


class Outcome(NamedTuple):
    """What became of starts.

    Attributes:
        traces: The objectives before each update, in nats by row, (S, T); NaN after the last.
        lengths: How many of them there are, (S,).
        ends: An `End` each, (S,).
        notes: Which component collapsed and its weight, or 0 and by how much the objective fell, (S, 2).
    """

    traces: Array
    lengths: Array
    ends: Array
    notes: Array

    @property
    def last(self) -> Array:
        """The objective where each start ended, minus infinity where it never had one, (S,)."""
        found = self.traces[np.arange(len(self.lengths)), self.lengths - 1]
        return np.where(self.lengths > 0, found, -np.inf)


@dataclass(frozen=True, eq=False)
class Table:
    """Groups of rows in panels as wide as the processor's registers like, about a mean for each column.

    Attributes:
        rows: The panels, feature by feature, and the weights of their rows, zero where there is none.
        sizes: How many rows each group has, (G,).
        places: The first panel of each group and the one after the last, (G, 2).
        total: The weight of each group's rows, (G,).
        origin: What was subtracted, (G, D).
        unit: The standard deviation of each column, one where that is zero, (G, D).
        floor: The variance below which a component has collapsed, (G, D).
        base: What log-likelihoods lack for parts of densities that are the same for all components, (G,).
        alike: Whether all rows weigh one.
    """

    rows: tuple[Array, Array]
    sizes: Array
    places: Array
    total: Array
    origin: Array
    unit: Array
    floor: Array
    base: Array
    alike: bool = False

    @classmethod
    def of(cls, x: Tensor, weight: Tensor | None, floor: Tensor | float, sizes: Array | None = None) -> Table:
        """Lays out rows (N, D), and weights (N,), of groups of so many rows each; one group if nothing is said.

        The floor is that of each column, (D,), or a share of the variance of each column in its group.
        """
        values, weights = counted(x, weight)
        counts = np.array([len(values)] if sizes is None else sizes)
        return replace(cls._laid(values, weights, counts, True, floor, np.zeros(len(counts))), alike=weight is None)

    def shared(self, groups: int) -> Table:
        """The same rows for so many groups."""
        parts = self.sizes, self.places, self.total, self.origin, self.unit, self.floor, self.base
        return Table(self.rows, *(np.repeat(part, groups, 0) for part in parts), alike=self.alike)

    @classmethod
    def of_statistics(cls, statistics: Tensor, base: Tensor, weight: Tensor | None, floor: Tensor) -> Table:
        """Lays out statistics (N, F) of rows, as they are, and what their densities have beside, (N,)."""
        values, weights = counted(statistics, weight)
        beside = counted(base.unsqueeze(-1), weight)[0][:, 0]
        return cls._laid(values, weights, np.array([len(values)]), False, floor, np.array([weights @ beside]))

    @classmethod
    def as_they_are(cls, values: Array, weights: Array, sizes: Array, floor: Tensor) -> Table:
        """Lays out rows (N, D), and weights (N,), of groups of so many rows each, without moving them."""
        return cls._laid(values, weights, sizes, False, floor, np.zeros(len(sizes)))

    @classmethod
    def _laid(
        cls, values: Array, weights: Array, sizes: Array, centred: bool, floor: Tensor | float, base: Array
    ) -> Table:
        (groups, features), panels = (len(sizes), values.shape[1]), -(-sizes // _width())
        ends = np.cumsum(panels)
        places = np.stack([ends - panels, ends], 1)
        zeros = compiled("calls").zeros
        rows = zeros(ends[-1] * _width() * features), zeros(ends[-1] * _width())
        total, origin, variance = np.empty(groups), np.empty((groups, features)), np.empty((groups, features))
        given = np.ascontiguousarray(values), np.ascontiguousarray(weights), sizes, places
        compiled("layout").lay(*given, centred, *rows, total, origin, variance)
        least = floor.double().numpy() if isinstance(floor, Tensor) else floor * variance
        floors = np.broadcast_to(least, (groups, least.shape[-1])).copy()
        return cls(rows, sizes, places, total, origin, np.sqrt(np.where(variance > 0, variance, 1.0)), floors, base)

    @property
    def features(self) -> int:
        """The number of columns D."""
        return self.origin.shape[1]

    @property
    def plain(self) -> tuple[Array, Array]:
        """Rows (N, D) about the origin and weights (N,), zero where there is no row."""
        flat, weights = self.rows
        return flat.reshape(-1, self.features, _width()).swapaxes(1, 2).reshape(-1, self.features), weights


def put(whole: Array, lines: Array, values: Array) -> Array:
    """An array with other values in some lines, which ascend."""
    if len(lines) == len(whole):
        return values
    found = whole.copy()
    found[lines] = values
    return found


def counted(x: Tensor, weight: Tensor | None) -> tuple[Array, Array]:
    """Rows (N, D) and weights (N,) in float64; zeros stand for rows that do not count, which may hold anything."""
    values = x.detach().double().numpy()
    if weight is None:
        return values, np.ones(len(values))
    weights = weight.detach().double().numpy()
    return np.where(weights[:, None] > 0, values, 0.0), weights


@dataclass(frozen=True, eq=False)
class States(ABC):
    """Mixtures under way: S of them, each with the rows of its group.

    Attributes:
        table: The rows.
        components: The number of components K.
        states: All parameters, a start a line; log weights come first.
        group: The group of each start, (S,).
        measure: What brings each sum to the unit in which steps are measured, by group, (G, M).
    """

    table: Table
    components: int
    states: Array
    group: Array
    measure: Array
    bold: ClassVar[bool] = False  # whether an update may lower the objective, and there is one that does not

    @abstractmethod
    def _steps(self) -> tuple[tuple[int, ...], Array, tuple[int, int]]:
        """Addresses of the steps, their shape, (C,) or by start (S, C), and the scratch that they take."""

    def __len__(self) -> int:
        return len(self.states)

    def take(self, index: Array) -> Self:
        """Some of the starts."""
        return replace(self, states=self.states.take(index, 0), group=self.group.take(index))

    def put(self, index: Array, others: Self) -> Self:
        """The same starts, some of which are where others are."""
        return replace(self, states=put(self.states, index, others.states))

    def joined(self, other: Self) -> Self:
        """These starts and others over the same rows."""
        states, group = np.concatenate([self.states, other.states]), np.concatenate([self.group, other.group])
        return replace(self, states=states, group=group)

    @property
    def logits(self) -> Array:
        """Log weights, (S, K)."""
        return self.states[:, : self.components]

    def advanced(self, limits: Limits) -> tuple[Self, Outcome]:
        """The starts after so many updates, or where they ended before, and what became of them."""
        table, group, states, count = self.table, self.group, self.states.copy(), len(self)
        traces, ends = np.full((count, limits.updates + 3), np.nan), np.zeros((count, 2), np.int64)
        notes = np.zeros((count, 2))
        numbers = limits.updates, limits.tolerance, np.finfo(float).eps, limits.accelerated, limits.sought, self.bold
        given = table.places, table.total, table.base, table.floor, self.measure, np.ascontiguousarray(group)
        found = traces, ends, notes
        calls, shape, spare = self._steps()
        driver, shapes = compiled(_DRIVER), shape if shape.ndim == 2 else shape[None].repeat(count, 0)

        def run(first: int, last: int) -> None:
            driver.advance(table.rows, *given, calls, shapes, spare, states, numbers, *found, first, last)

        in_threads(run, count, workers(self._work(limits.updates), GRAIN))
        return replace(self, states=states), Outcome(traces, ends[:, 1], ends[:, 0], notes)

    def _work(self, updates: int) -> float:
        rows = (self.table.places[self.group, 1] - self.table.places[self.group, 0]).sum() * _width()
        return float(rows) * self.components * min(updates, 50)


class Clusters(NamedTuple):
    """Where K-means ended: centres (S, K, D), mean squared distances by number (S,), and what became of the starts."""

    mean: Array
    spread: Array
    outcome: Outcome


def clusters(x: Tensor, weight: Tensor | None, mean: Tensor, limits: Limits) -> Clusters:
    """K-means of rows (N, D) from centres (S, K, D)."""
    rows, weights = counted(x, weight)
    origin, count = weights @ rows / weights.sum(), len(mean)
    means = mean.detach().double().numpy() - origin
    spread, traces = np.empty(count), np.full((count, limits.updates + 1), np.nan)
    ends = np.zeros((count, 2), np.int64)
    given = rows - origin, weights, weights.sum(), means, spread
    numbers = limits.updates, limits.tolerance, np.finfo(np.float64).eps

    def run(first: int, last: int) -> None:
        compiled("lloyd").lloyd(*given, *numbers, traces, ends, first, last)

    in_threads(run, count, workers(rows.size * means.shape[1] * count * min(limits.updates, 50), GRAIN))
    return Clusters(means + origin, spread, Outcome(traces, ends[:, 1], ends[:, 0], np.zeros((count, 2))))


def small(rows: int, features: int, most: int = _MOST_FEATURES) -> bool:
    """Whether a table is small enough for many updates in a call, and numba compiles here."""
    few = features <= most and rows * features <= _MOST_NUMBERS
    return few and small_module(_DRIVER) is not None


def compiled(name: str) -> ModuleType:
    """A module of compiled loops.

    Raises:
        ImportError: If numba is missing or cannot compile here; `small` tells.
    """
    found = small_module(name)
    if found is None:
        raise ImportError("numba is missing or cannot compile here")
    return found


def _width() -> int:
    """Rows in a panel."""
    return compiled(_DRIVER).WIDTH
