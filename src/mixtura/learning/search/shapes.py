r"""All covariance structures at one number of components, searched together on a small table.

They share the rows, the centres from which they start, and every call of the kernels; each structure is a group of the
race. What a structure found with one component less, each component split in turn along its longest axis, gives starts
for it, too.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from ...components import Family
from ...data import Rows
from ...kernels.small import Table
from ...kernels.small_gaussians import Seeds, Starts
from ...kernels.small_shapes import Shapes
from ...kernels.steps import Step
from ..loop.method import Method
from ..loop.traces import Run
from .flight import Array
from .gaussian_kind import GaussianKind
from .half_axes import half_axes
from .race import MANY, raced
from .search import told
from .small_flight import SmallFlight

__all__ = ["Searched", "search_shapes"]


@dataclass(frozen=True)
class Searched:
    """What the race of all structures came to, best first for each.

    Arguments:
        flight: The starts that went to the end, one group a structure.
        counts: How many starts came to each.
        spurious: Which of them are none of the data's.
        total: The weight of the rows.
    """

    flight: SmallFlight[Shapes]
    counts: Array
    spurious: Array
    total: float

    def runs(self, rows: Rows, family: Family, group: int) -> list[Run]:
        """Returns how the starts of one structure went."""
        flight = self.flight
        width = flight.objective.shape[1]
        kind = GaussianKind.of_family(family, rows)
        one = flight.alone(np.arange(group * width, (group + 1) * width), kind, flight.starts.of_group(group))
        return [run for run in told(one.runs(), self.counts[group], self.spurious[group]) if run.found]

    def best(self) -> Starts:
        """The best start of each structure, where it ended."""
        return self.flight.first.starts


def search_shapes(
    method: Method, table: Table, kind: GaussianKind, seeds: Seeds, steps: list[Step], smaller: Searched | None
) -> Searched:
    """Races the starts of all structures.

    Arguments:
        method: The method, whose updates the kernels make.
        table: The rows, laid out.
        kind: The kind of one of the structures.
        seeds: Where starts are.
        steps: The structures.
        smaller: What was found with one component less, if that is known.
    """
    begun = {step: seeds.starts(table, step) for step in {step.begins for step in steps}}
    states = np.stack([begun[step.begins].states for step in steps])
    if smaller is not None:
        states = np.concatenate([states, _splits(table, smaller.best())], 1)
    starts = Shapes.over(begun[steps[0].begins], states, tuple(steps))
    flight = SmallFlight.of(method, kind, starts, len(steps))
    found = raced(flight, np.repeat(table.total, len(steps)), course=MANY)
    return Searched(found.flight, found.counts, found.spurious, float(table.total[0]))


def _splits(table: Table, smaller: Starts) -> Array:
    """What the best starts of G structures with one component less, K, suggest, as states (G, K, P)."""
    weights, mean, covariance = np.exp(smaller.logits), smaller.mean, smaller.covariance
    groups, count = weights.shape
    push = half_axes(covariance.reshape(-1, *covariance.shape[2:])).reshape(mean.shape)
    line = np.arange(count)
    index = np.concatenate([np.tile(line, (count, 1)), line[:, None]], 1)
    weight, means = weights[:, index], mean[:, index]
    weight[:, line, line] /= 2
    weight[:, :, -1] /= 2
    means[:, line, line] -= push
    means[:, :, -1] += push
    parts = (part.reshape(groups * count, *part.shape[2:]) for part in (np.log(weight), means, covariance[:, index]))
    found = Starts.of(table, smaller.step, *parts, group=np.zeros(groups * count, int))
    return found.states.reshape(groups, count, -1)
