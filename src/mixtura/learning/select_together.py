"""A search over models on a small table: all structures of one number of components in the same calls."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator
from dataclasses import replace
from functools import cache, partial
from typing import Any, NamedTuple

import numpy as np

from ..components import Diagonal, Family, Full
from ..kernels import Step
from ..kernels.small import End
from ..kernels.small_gaussians import Starts
from .job import Job
from .loop.leaps import REASONS, plain_table, tabled
from .loop.reason import Reason
from .results.fit import Fit
from .search.flight import BROKEN, Array
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


def serve_together(job: Job, kinds: list[Any]) -> bool:
    """Whether the kernels serve all families, on all rows."""
    known = job.method.alone and all(one.step is not None for one in kinds)
    return known and len(job.sample) == job.summary.count and plain_table(job.rows)


def together(job: Job, counts: list[int], kinds: list[Any], init: Initialiser, restarts: int) -> Iterator[Numbers]:
    """Yields the candidates of every number of components, in order."""
    steps = [kind.step for kind in kinds]
    pooled = Full(tied=True) if max(steps) >= Step.FULL else Diagonal(tied=True)
    common = replace(job, family=replace(kinds[0], structure=pooled))
    table = tabled(job.rows, job.floor)
    weight = job.rows.each_weight.double().numpy()
    x = np.where(weight[:, None] > 0, job.rows.tensor().reshape(len(job.rows), -1).double().numpy(), 0.0)
    found: dict[int, Searched] = {}
    for k in counts:
        start = common.starts(init, k, 1 if k == 1 else restarts)
        found[k] = search_shapes(job.method, table, start, steps, found.get(k - 1))
        yield from _numbers(job, found[k], kinds, k, x, weight)


def _numbers(job: Job, found: Searched, kinds: list[Any], k: int, x: Array, weight: Array) -> Iterator[Numbers]:
    best, width = found.best(), found.flight.objective.shape[1]
    for g, kind in enumerate(kinds):
        reason = REASONS[End(found.flight.ends[g * width])]
        reason = Reason.INTERRUPTED if found.flight.interrupted and reason is Reason.MAX_ITERATIONS else reason
        features = x.shape[1]
        parameters = k - 1 + k * features + kind.structure.parameters(k, features)
        likelihood = float(found.flight.last[g * width]) * found.total
        certainty = math.nan if reason in BROKEN else _certainty(best, g, x, weight)
        completed = parameters * math.log(found.total) - 2 * likelihood - 2 * certainty
        yield Numbers(kind, k, parameters, likelihood, completed, reason, cache(partial(_fit, job, found, kind, g)))


def _fit(job: Job, found: Searched, kind: Family, group: int) -> Fit:
    shaped = replace(job, family=kind)
    return shaped.result(found.runs(job.rows, kind, group))


def _certainty(best: Starts, g: int, x: Array, weight: Array) -> float:
    """The sum over rows of the log-probability of the likeliest component."""
    joint = np.empty((len(x), best.components))
    for k in range(best.components):
        root = np.linalg.cholesky(best.covariance[g, k])
        z = np.linalg.solve(root, (x - best.mean[g, k]).T)
        joint[:, k] = best.logits[g, k] - np.log(np.diagonal(root)).sum() - 0.5 * (z * z).sum(0)
    top = joint.max(1)
    return float(-(weight * np.log(np.exp(joint - top[:, None]).sum(1))).sum())
