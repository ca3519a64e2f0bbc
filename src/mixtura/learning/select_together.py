"""A search over models on a small table: all structures of one number of components in the same calls."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator
from dataclasses import replace
from functools import cache, partial
from typing import Any, NamedTuple

import numpy as np

from ..components import Family
from ..kernels import Step
from ..kernels.small import End, Table
from ..kernels.small_gaussians import Starts
from .job import Job
from .loop.leaps import REASONS, tabled
from .loop.reason import Reason
from .results.fit import Fit
from .search.flight import BROKEN, Array
from .search.gaussian_kind import GaussianKind
from .search.shapes import Searched, search_shapes
from .starts.centres import Initialiser

__all__ = ["Numbers", "serve_together", "together"]


class Numbers(NamedTuple):
    """What is known of a candidate before there is a fit of it."""

    kind: Family
    components: int
    parameters: int
    log_likelihood: float
    icl: float
    reason: Reason
    fit: Callable[[], Fit]


def serve_together(job: Job, kinds: list[Any], init: Initialiser | None) -> bool:
    """Whether the kernels serve all families, on all rows, from starts of their own."""
    return init is None and all(replace(job, family=one).small for one in kinds)


def together(job: Job, counts: list[int], kinds: list[Any], restarts: int) -> Iterator[Numbers]:
    """Yields the candidates of every number of components, in order."""
    steps = [kind.step for kind in kinds]
    table = tabled(job.rows, job.floor)
    pooled = max(steps) if max(steps) >= Step.FULL else Step.DIAGONAL
    found: dict[int, Searched] = {}
    for k in counts:
        seeds = job.seeds(table, pooled, k, 1 if k == 1 else restarts)
        kind = GaussianKind.of_family(kinds[0], job.rows)
        found[k] = search_shapes(job.method, table, kind, seeds, steps, found.get(k - 1))
        yield from _numbers(job, found[k], kinds, k, table)


def _numbers(job: Job, found: Searched, kinds: list[Any], k: int, table: Table) -> Iterator[Numbers]:
    flight, width, features = found.flight, found.flight.objective.shape[1], table.features
    certainty = _certainty(found.best(), table)
    for g, kind in enumerate(kinds):
        reason = REASONS[End(flight.ends[g * width])]
        reason = Reason.INTERRUPTED if flight.interrupted and reason is Reason.MAX_ITERATIONS else reason
        parameters = k - 1 + k * features + kind.structure.parameters(k, features)
        likelihood = float(flight.last[g * width]) * found.total
        surely = math.nan if reason in BROKEN else float(certainty[g])
        completed = parameters * math.log(found.total) - 2 * likelihood - 2 * surely
        yield Numbers(kind, k, parameters, likelihood, completed, reason, cache(partial(_fit, job, found, kind, g)))


def _fit(job: Job, found: Searched, kind: Family, group: int) -> Fit:
    shaped = replace(job, family=kind)
    return shaped.result(found.runs(job.rows, kind, group))


def _certainty(best: Starts, table: Table) -> Array:
    """The sum over rows of the log-probability of the likeliest component, for each start, (S,)."""
    rows, weight = table.plain
    joint = best.log_joint(rows + table.origin[0])
    joint -= joint.max(1, keepdims=True)
    return -np.log(np.exp(joint).sum(1)) @ weight
