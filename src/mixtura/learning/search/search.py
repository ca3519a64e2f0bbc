"""From a batch of starts to the runs that went to the end, best first."""

from __future__ import annotations

import math
from dataclasses import replace
from typing import Any

import numpy as np
from torch import Tensor

from ...data import Rows
from ...mixture import Mixture
from ..loop.method import Method
from ..loop.traces import Report, Run
from .flight import Array, Runs
from .moves import moved
from .race import raced
from .small_flight import SmallFlight, flown

__all__ = ["searched", "searched_flight"]


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
        moves: Whether moves from the best are tried, where the kernels serve; from a spurious one they are.
    """
    total = np.array([rows.total_weight])
    flight = flown(method, rows, start, floor) if method.alone else None
    if flight is not None:
        return searched_flight(flight, total, report, math.inf if moves else 0)
    found = raced(Runs.of(method, start, rows, floor), total, report)
    return told(found.flight.runs, found.counts[0], found.spurious[0])


def searched_flight(
    flight: SmallFlight[Any], total: Array, report: Report | None = None, enough: float = math.inf
) -> list[Run]:
    """Does the same for starts of one group on a small table.

    Arguments:
        flight: The starts.
        total: The weight of the rows, (1,).
        report: Called after each iteration of the last leg.
        enough: Where so many starts came to the best optimum, no moves are tried.
    """
    found = raced(flight, total, report)
    runs = told(found.flight.runs(), found.counts[0], found.spurious[0])
    if found.counts[0, 0] >= enough and not runs[0].spurious:
        return runs
    best, spurious = moved(found, total)
    if best.objective[0, 0] > found.flight.objective[0, 0] or runs[0].spurious:
        runs = [*told(best.runs(), np.ones(1, int), np.array([spurious])), *runs]
    return runs


def told(runs: list[Run], counts: Array, spurious: Array) -> list[Run]:
    """The runs with what the race found out about them."""
    each = zip(runs, counts.tolist(), spurious.tolist(), strict=True)
    return [replace(one, found=count, spurious=doubt) for one, count, doubt in each]
