"""The passes for Gaussian and Student-t components with soft labels, and their densities, through the compiled loops.

Rows are cut in one share for each thread; every share has its own sums, added at the end in a fixed order.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import replace
from typing import Any, cast

import numpy as np
import torch
from torch import Tensor

from ..extra import NOTHING
from ..heavy_tails import Tails
from ..plan import Plan
from ..sums import Sums
from ..threads import in_threads, workers
from .layouts import NO_TAILS, Array, Layout, TailTerms, layout

__all__ = [
    "heavy_log_density",
    "heavy_log_joint",
    "heavy_sums",
    "log_density",
    "log_joint",
    "responsibilities",
    "row_weights",
    "rows_of",
    "sums",
    "threads_for",
]

_GRAIN = 3_000_000  # work worth another thread: about a tenth of a millisecond
_SUMS_BYTES = 32 << 20  # of float64 sums over all threads


def sums(plan: Plan, x: Tensor, weight: Tensor | None) -> Sums:
    """Everything an update needs, from one pass over the rows."""
    return _sums(_gaussian, plan, x, weight)


def heavy_sums(plan: Plan, x: Tensor, weight: Tensor | None) -> Sums:
    """The same for Student-t components."""
    return _sums(_student, plan, x, weight)


def log_joint(plan: Plan, x: Tensor) -> Tensor:
    """Log joint density of each row and component: (N, B, K)."""
    out = x.new_empty(x.shape[0], *plan.logits.shape)
    _densities(plan, x, np.empty((0, 0), out.numpy().dtype), out.numpy())
    return out


def responsibilities(plan: Plan, x: Tensor) -> Tensor:
    """Posterior probability of each component for each row: (N, B, K)."""
    out, density = x.new_empty(x.shape[0], *plan.logits.shape), x.new_empty(x.shape[0], plan.restarts)
    _densities(plan, x, density.numpy(), out.numpy())
    return out


def heavy_log_joint(plan: Plan, x: Tensor) -> Tensor:
    """The same for Student-t components."""
    gaussian = replace(plan, logits=torch.zeros_like(plan.logits), extra=NOTHING)
    return cast(Tails, plan.extra).lengthened(plan, log_joint(gaussian, x))


def log_density(plan: Plan, x: Tensor) -> Tensor:
    """Log density of each row under each mixture: (N, B)."""
    out = x.new_empty(x.shape[0], plan.restarts)
    _densities(plan, x, out.numpy(), np.empty((0, 0, 0), out.numpy().dtype))
    return out


def heavy_log_density(plan: Plan, x: Tensor) -> Tensor:
    """The same for Student-t components."""
    return heavy_log_joint(plan, x).logsumexp(-1)


def rows_of(x: Tensor) -> Array:
    """Rows as the loops read them."""
    return x.detach().contiguous().numpy()


def row_weights(x: Tensor, weight: Tensor | None) -> Array:
    """Weights in the type of the rows; empty where each counts once."""
    return (x.new_empty(0) if weight is None else weight.detach().to(x.dtype)).contiguous().numpy()


def threads_for(plan: Plan, x: Tensor) -> int:
    """How many threads a pass is worth."""
    return workers(plan.work(x.shape[0]), _GRAIN)


def _sums(make: Callable[[Plan, Any], Layout], plan: Plan, x: Tensor, weight: Tensor | None) -> Sums:
    rows, weights = rows_of(x), row_weights(x, weight)
    second = plan.mean.shape[1] * math.prod(plan.form.shape(plan.mean.shape[2]))
    limit = max(1, _SUMS_BYTES // (8 * second))
    threads = min(threads_for(plan, x), limit)
    step = max(1, limit // threads)
    parts = [plan.part(slice(b, b + step)) for b in range(0, plan.restarts, step)] if step < plan.restarts else [plan]
    found = [_run(make(part, rows.dtype), rows, weights, threads) for part in parts]
    whole = found[0] if len(found) == 1 else [np.concatenate(field) for field in zip(*found, strict=True)]
    likelihood, mass, shift, scatter, *tails = map(torch.from_numpy, whole)
    return Sums(likelihood, mass, shift, scatter, tuple(tails))


def _run(laid_out: Layout, rows: Array, weights: Array, threads: int) -> tuple[Array, ...]:
    flat, arguments, size = rows.reshape(-1), laid_out.arguments(), laid_out.size()

    def run(begin: int, end: int) -> tuple[Array, ...]:
        room = laid_out.room()
        laid_out.loops()(flat, begin, end, weights, laid_out.centre, *arguments, size, laid_out.sums_tiles(), *room)
        return room

    parts = in_threads(run, len(rows), threads)
    total = parts[0] if len(parts) == 1 else [np.add.reduce(field) for field in zip(*parts, strict=True)]
    return laid_out.finish(*total)


def _densities(plan: Plan, x: Tensor, *out: Array) -> None:
    rows = rows_of(x)
    laid_out = _gaussian(plan, rows.dtype)
    flat, arguments, size = rows.reshape(-1), laid_out.density_arguments(), laid_out.size()

    def run(begin: int, end: int) -> None:
        shared = laid_out.centre, *arguments, size, laid_out.components, laid_out.tiles()
        type(laid_out).density(flat, begin, end, *shared, *out)

    in_threads(run, len(rows), threads_for(plan, x))


def _gaussian(plan: Plan, dtype: Any) -> Layout:
    mean, factor, logits = _exact(plan.mean, plan.factor, plan.logits)
    return layout(plan, heavy=False)(dtype, mean, factor, logits, NO_TAILS)


def _student(plan: Plan, dtype: Any) -> Layout:
    mean, factor, logits, dof = _exact(plan.mean, plan.factor, plan.logits, cast(Tails, plan.extra).dof)
    features = mean.shape[-1]
    terms = 1 / dof, 0.5 * (dof + features), (dof + features) / dof, logits
    tails = TailTerms(tuple(np.ravel(one).astype(dtype) for one in terms), 3)
    return layout(plan, heavy=True)(dtype, mean, factor, np.zeros_like(logits), tails)


def _exact(*tensors: Tensor) -> list[Array]:
    return [t.detach().to(torch.float64).numpy() for t in tensors]
