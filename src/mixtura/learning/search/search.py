"""From a batch of starts to the runs that went to the end, best first."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
from torch import Tensor

from ...data import Rows
from ...mixture import Mixture
from ..loop.leaps import serves, started, tabled
from ..loop.method import Method
from ..loop.traces import Report, Run
from .flight import Runs
from .race import raced
from .small_flight import SmallFlight

__all__ = ["searched"]


def searched(method: Method, rows: Rows, start: Mixture, floor: Tensor, report: Report | None = None) -> list[Run]:
    """Races many starts and returns how those that went to the end did, best first, with how many came to each."""
    total = np.array([rows.total_weight])
    if method.alone and serves(method, rows, start):
        flight = SmallFlight.of(method, started(tabled(rows, floor), start), 1)
        flight, counts = raced(flight, total, report)
        runs = flight.runs(start)
    else:
        flight, counts = raced(Runs.of(method, start, rows, floor), total, report)
        runs = flight.runs
    return [replace(one, found=int(count)) for one, count in zip(runs, counts[0], strict=True)]
