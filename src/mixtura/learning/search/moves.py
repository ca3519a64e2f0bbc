"""Moves from the best optimum: a component is taken from where it is of little use and put where one is missing.

Of K components, i is dropped and j becomes two, apart or one inside the other; how, its kind says. All pairs (i, j) are
tried together, a few updates each; the best go on to the end, and what they found is the new best if it gains. That is
repeated until nothing gains.
"""

from __future__ import annotations

from typing import Any

import numpy as np

from ...kernels.small import End
from .flight import Array
from .race import SAME, Raced, distinct
from .small_flight import SmallFlight

__all__ = ["moved"]

_ROUNDS = 20  # a bound that is never met: each round must gain
_SHORT = 10
_FOLLOWED = 6
_BASES = 3  # optima from which moves are made


def moved(found: Raced[SmallFlight[Any]], total: Array) -> tuple[SmallFlight[Any], bool]:
    """Returns the best start, which ends no lower than that of a race of one group, and whether it is spurious.

    Arguments:
        found: What the race came to.
        total: The weight of the rows of the group, (1,).
    """
    best = Raced(found.flight.kept(np.arange(min(_BASES, found.counts.shape[1]))[None]), found.counts, found.spurious)
    for _ in range(_ROUNDS):
        flight = best.flight
        if flight.interrupted or flight.starts.components < 3 or flight.ends[0] != End.CONVERGED:
            break
        after = _best(flight.joined(_followed(best, total)), total)
        gained = after.flight.objective[0, 0] > flight.objective[0, 0] + SAME / total[0]
        if after.spurious[0, 0] or not (gained or best.spurious[0, 0]):
            break
        best = after
    return best.flight.kept(np.zeros((1, 1), np.int64)), bool(best.spurious[0, 0])


def _best(flight: SmallFlight[Any], total: Array) -> Raced[SmallFlight[Any]]:
    """The best few optima of the data."""
    flight, counts = distinct(flight, np.ones(flight.objective.shape, np.int64), total, flight.objective.shape[1])
    found = Raced(flight, counts, flight.spurious(total)).sorted
    return found._replace(flight=found.flight.kept(np.arange(min(_BASES, counts.shape[1]))[None]))


def _followed(best: Raced[SmallFlight[Any]], total: Array) -> SmallFlight[Any]:
    """The best few of all moves, where they end; from a spurious optimum, of those that leave it."""
    tried = best.flight.moves().advanced(_SHORT)
    if best.spurious[0, 0]:
        tried = tried.kept(np.flatnonzero(~tried.spurious(total)[0])[None])
    tried, _ = distinct(tried, np.ones(tried.objective.shape, np.int64), total, _FOLLOWED)
    return tried.finished()
