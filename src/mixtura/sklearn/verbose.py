"""Progress in words, as scikit-learn prints it."""

from __future__ import annotations

import math
import time
from dataclasses import dataclass, field

from ..learning.loop.traces import Report

__all__ = ["Verbose"]


@dataclass
class Verbose:
    """Prints a line every few iterations, with time and gain if asked for twice."""

    timed: bool
    interval: int
    total: int  # updates at most
    last: float = -math.inf
    since: float = field(default_factory=time.perf_counter)

    @classmethod
    def of(cls, verbose: int, interval: int, start: int, total: int) -> Report | None:
        """Announces a start; returns what to call after each iteration, or none where nobody asked."""
        if not verbose:
            return None
        print(f"Initialization {start}")
        return cls(verbose > 1, interval, total)

    def __call__(self, iteration: int, objective: float) -> None:
        number = iteration + 1  # of the update that follows
        if number % self.interval == 0 and number <= self.total:
            print(f"  Iteration {number}" + self._particulars(objective))
        self.last = objective

    def _particulars(self, objective: float) -> str:
        if not self.timed:
            return ""
        lapse, self.since = time.perf_counter() - self.since, time.perf_counter()
        return f"\t time lapse {lapse:.5f}s\t ll change {objective - self.last:.5f}"
