r"""The K-means pass through the filter, and what it remembers of a table from one pass to the next.

That is, for the table, its rows in single precision, feature by feature, about a common centre and in units of their
spread; for each start a label a row, and the weight, the rows and the sum of each cluster. The sum of squares follows
from these and the table's own, :math:`J = Q - \sum_k (2 m_k \cdot S_k - n_k |m_k|^2)`, all in double precision. Where
that would leave few digits, in clusters far smaller than the gaps between them, and where too many rows are in doubt,
the table is handed to the plain pass for good.
"""

from __future__ import annotations

from typing import Any, cast

import numpy as np
import torch
from torch import Tensor

from ..labels import Remembered
from ..plan import Plan
from ..sums import Sums
from ..threads import in_threads, workers
from . import nearest
from .gaussian import row_weights, rows_of, threads_for
from .joints import Shape
from .layouts import Array, aligned
from .nearest_filtered_loops import fill_columns, filtered_pass
from .vector import lanes

__all__ = ["sums"]

_WIDTH, _VECTOR = lanes(4)
_DIGITS = 1e-4  # of the sum of squares about the common centre: what is left of it leaves eleven digits
_DOUBT = 0.05  # of the rows
_ERROR = 2 * float(np.finfo(np.float32).eps)
_NUMBERS = 100_000  # worth another thread
_SOME = 4096  # rows that tell the unit


def sums(plan: Plan, x: Tensor, weight: Tensor | None) -> Sums:
    """The sums of `Plan.nearest` for a table that is asked again and again."""
    rule, exact = cast(Remembered, plan.labels), plan.mean.double().numpy()
    if rule.last is None:
        rule.last = _Table(exact, x, weight)
    found = rule.last.sums(plan, x, weight)
    if found is None:
        rule.last = _Plain()
        return nearest.sums(plan, x, weight)
    return found


class _Plain:
    """A table that the filter does not suit."""

    def sums(self, plan: Plan, x: Tensor, weight: Tensor | None) -> Sums:
        return nearest.sums(plan, x, weight)


class _Table:
    """Rows as the filter reads them, and labels and sums of every start as of the last pass."""

    def __init__(self, exact: Array, x: Tensor, weight: Tensor | None) -> None:
        restarts, components, features = exact.shape
        self.rows, self.weights = rows_of(x).reshape(-1), row_weights(x, weight)
        self.centre = exact.mean((0, 1))
        self.panels = -(-len(x) // _WIDTH)
        self.unit = _unit(x, self.centre)
        self.columns = aligned(self.panels * _WIDTH * (features + 1), np.dtype(np.float32))
        self.total = self._fill()
        self.mean = exact
        self.label = np.full((restarts, self.panels * _WIDTH), components, np.float32)  # of no cluster yet
        shapes = (), (), (features,)
        self.clusters = tuple(np.zeros((restarts, components, *shape)) for shape in shapes)

    def _fill(self) -> float:
        """Writes the columns; the sum of squares about the centre."""

        def run(begin: int, end: int) -> float:
            return fill_columns(self.rows, begin, end, self.weights, self.centre, 1 / self.unit, _WIDTH, self.columns)

        return float(sum(in_threads(run, self.panels, workers(len(self.rows), _NUMBERS))))

    def sums(self, plan: Plan, x: Tensor, weight: Tensor | None) -> Sums | None:
        """The sums of a pass; none where the filter does not suit."""
        self._go_on(plan.mean.double().numpy())
        given, loop = self._arguments(plan), cast(Any, filtered_pass)

        def run(begin: int, end: int) -> tuple[Array, ...]:
            panels = (aligned(_WIDTH, np.dtype(np.float32)) for _ in range(2))
            room = *panels, np.empty(6 * _WIDTH, np.int64), np.empty(len(self.centre))
            changes = np.zeros(len(self.mean)), *(np.zeros(total.size) for total in self.clusters)
            loop(self.columns, begin, end, *given, room, changes)
            return changes

        parts = in_threads(run, self.panels, threads_for(plan, x))
        doubtful, *changes = parts[0] if len(parts) == 1 else map(np.add.reduce, zip(*parts, strict=True))
        for total, change in zip(self.clusters, changes, strict=True):
            total += change.reshape(total.shape)
        found = self._found()
        scarce = bool((found.scatter < _DIGITS * self.total).any())
        return None if scarce or doubtful.max() > _DOUBT * len(x) else found

    def _go_on(self, exact: Array) -> None:
        """Goes over to other centres; each start takes up what is known of the one whose centres were closest."""
        if len(exact) > 1 or len(self.mean) > 1:
            apart = np.square(exact[:, None] - self.mean).sum(-1).max(-1)  # (now, before)
            before = apart.argmin(1)
            if not np.array_equal(before, np.arange(len(self.mean))):
                self.label, self.clusters = self.label[before], tuple(total[before] for total in self.clusters)
        self.mean = exact

    def _arguments(self, plan: Plan) -> tuple[Any, ...]:
        restarts, components, features = plan.mean.shape
        size = Shape(restarts, components + -components % 4, features, features, 1, _WIDTH, _VECTOR)
        away = self.mean - self.centre
        mean = np.zeros((restarts, size.components, features), np.float32)
        mean[:, :components] = -away / self.unit
        half = np.full((restarts, size.components), np.inf, np.float32)
        half[:, :components] = 0.5 * np.square(away / self.unit).sum(-1)
        longest = np.sqrt(2 * half[:, :components].max(-1).astype(np.float64))
        slack = _ERROR * (features + 4) * longest[:, None] * np.stack((np.ones(restarts), longest), 1)
        flat = (np.ravel(array) for array in (away, mean, half, slack.astype(np.float32), self.label))
        return self.rows, self.weights, self.centre, *flat, size, components

    def _found(self) -> Sums:
        count, mass, first = self.clusters
        mass, first = np.where(count > 0, mass, 0.0), np.where(count[..., None] > 0, first, 0.0)
        away = self.mean - self.centre
        inertia = self.total - (2 * (away * first).sum((1, 2)) - (mass * np.square(away).sum(-1)).sum(-1))
        shift = first - mass[..., None] * away
        likelihood, mass, shift, scatter = map(torch.from_numpy, (-0.5 * inertia, mass, shift, inertia[:, None]))
        return Sums(likelihood, mass, shift, scatter)


def _unit(x: Tensor, centre: Array) -> float:
    """The root mean square of some rows about the centre: in this unit single precision has room."""
    some = x[:: max(1, len(x) // _SOME)].double() - torch.from_numpy(centre)
    return some.square().sum(1).mean().sqrt().clamp_min(torch.finfo(torch.float64).tiny).item()
