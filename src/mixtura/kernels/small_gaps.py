"""Mixtures of Gaussians under way on small tables with gaps, whose rows lie together by their pattern of gaps."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
from torch import Tensor

from .small import Array, Table, compiled
from .small_gaussians import Starts
from .steps import Step

__all__ = ["StartsWithGaps", "gaps_table"]


def gaps_table(x: Tensor, weight: Tensor | None, floor: Tensor) -> Table:
    """Lays out rows (N, D), NaN where nothing was recorded: panels of one pattern each, then their codes."""
    weights = np.ones(len(x)) if weight is None else weight.detach().double().numpy()
    rows, weights = x.detach().double().numpy()[weights > 0], weights[weights > 0]
    seen = ~np.isnan(rows)
    held = np.maximum(weights @ seen, np.finfo(float).tiny)
    origin, values = _centred(rows, seen, (weights[:, None] / held))
    codes = seen @ 2.0 ** np.arange(rows.shape[1])
    order = np.argsort(codes, kind="stable")
    patterns, sizes = np.unique(codes, return_counts=True)
    laid = Table.as_they_are(values[order], weights[order], sizes, floor)
    panels = np.repeat(patterns, laid.places[:, 1] - laid.places[:, 0])
    variance = weights @ values**2 / held
    unit = np.sqrt(np.where(variance > 0, variance, 1.0))
    return Table(
        rows=(np.concatenate([laid.rows[0], panels]), laid.rows[1]),
        sizes=np.array([len(values)]),
        places=np.array([[0, len(panels)]]),
        total=np.array([weights.sum()]),
        origin=origin[None],
        unit=unit[None],
        floor=laid.floor[:1].copy(),
        base=np.zeros(1),
        alike=weight is None,
    )


def _centred(rows: Array, seen: Array, share: Array) -> tuple[Array, Array]:
    """The mean of what is recorded in each column, (D,), and the rows about it, zero at gaps."""
    origin = np.zeros(rows.shape[1])
    for _ in range(2):
        values = np.where(seen, rows - origin, 0.0)
        origin = origin + (share * values).sum(0)
    return origin, np.where(seen, rows - origin, 0.0)


@dataclass(frozen=True, eq=False)
class StartsWithGaps(Starts):
    """Mixtures of Gaussians under way, of rows with gaps."""

    def _of_step(self, step: Step) -> tuple[tuple[int, ...], Array, tuple[int, int]]:
        kind: Any = compiled("gaps_kind")
        _, shape, (_, room) = super()._of_step(step)
        k, d, width = shape[:3].tolist()
        return kind.calls(), shape, (kind.size_of_spare(k, d, width), room)
