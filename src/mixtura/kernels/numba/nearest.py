"""The K-means pass through the compiled loops: each row adds to the sums of its nearest centre only."""

from __future__ import annotations

from functools import reduce
from operator import add

import numpy as np
import torch
from torch import Tensor

from ..plan import Plan
from ..sums import Sums
from ..threads import in_threads
from .gaussian import row_weights, rows_of, threads_for
from .joints import Shape
from .layouts import Array
from .nearest_loops import nearest_sums
from .vector import lanes

__all__ = ["sums"]

_PANELS = 4


def sums(plan: Plan, x: Tensor, weight: Tensor | None) -> Sums:
    """The sums of `Plan.nearest`."""
    rows, weights = rows_of(x), row_weights(x, weight)
    exact = plan.mean.double().numpy()
    centre = exact.mean((0, 1)).astype(rows.dtype)
    centred = (exact - centre).astype(rows.dtype)
    restarts, components, features = plan.mean.shape
    size = Shape(restarts, components, features, features, _PANELS, *lanes(rows.dtype.itemsize))

    def run(begin: int, end: int) -> tuple[Array, ...]:
        room = np.zeros(exact.shape[:2]), np.zeros(exact.size), np.zeros(exact.shape[0])
        nearest_sums(rows.reshape(-1), begin, end, weights, centre, centred.reshape(-1), size, *room)
        return room

    parts = in_threads(run, len(rows), threads_for(plan, x))
    mass, first, inertia = (reduce(add, field) for field in zip(*parts, strict=True))
    shift = first.reshape(exact.shape) - mass[..., None] * (exact - centre)
    likelihood, mass, shift, scatter = map(torch.from_numpy, (-0.5 * inertia, mass, shift, inertia[:, None]))
    return Sums(likelihood, mass, shift, scatter)
