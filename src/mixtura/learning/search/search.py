"""From a batch of starts to the runs that went to the end, best first."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
from torch import Tensor

from ...data import Rows
from ...mixture import Mixture
from ..loop.method import Method
from ..loop.traces import Report, Run
from .flight import Array, Flight, Runs
from .moves import moved
from .race import raced
from .small_flight import flown

__all__ = ["searched"]


def searched(
    method: Method, rows: Rows, start: Mixture, floor: Tensor, report: Report | None = None, moves: bool = True
) -> list[Run]:
    """Races many starts and returns how those that went to the end did, best first, with how many came to each.

    Arguments:
        method: The method.
        rows: The rows.
        start: The starts, with batch shape ``(B,)``.
        floor: The variance below which a component has collapsed.
        report: Called after each iteration of the last leg.
        moves: Whether moves from the best few are tried, where the kernels serve.
    """
    total = np.array([rows.total_weight])
    flight = flown(method, rows, start, floor) if method.alone else None
    if flight is None:
        plain, counts = raced(Runs.of(method, start, rows, floor), total, report)
        return _told(plain.runs, plain, counts, total)
    small, counts = raced(flight, total, report)
    runs = _told(small.runs(), small, counts, total)
    if not moves:
        return runs
    best = moved(small, total).kept(np.zeros((1, 1), np.int64))
    if best.objective[0, 0] > small.objective[0, 0] or runs[0].spurious:
        runs = [*_told(best.runs(), best, np.ones((1, 1), np.int64), total), *runs]
    return runs


def _told(runs: list[Run], flight: Flight, counts: Array, total: Array) -> list[Run]:
    """The runs with what the race found out about them."""
    told = zip(runs, counts[0].tolist(), flight.spurious(total)[0].tolist(), strict=True)
    return [replace(one, found=count, spurious=spurious) for one, count, spurious in told]
