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
from .race import SAME, distinct
from .small_flight import SmallFlight

__all__ = ["moved"]

_ROUNDS = 20  # a bound that is never met: each round must gain
_SHORT = 10
_FOLLOWED = 6
_BASES = 3  # optima from which moves are made


def moved(found: SmallFlight[Any], total: Array) -> SmallFlight[Any]:
    """Returns a flight of few starts, best first, of which the first ends no lower than that of a flight.

    Arguments:
        found: Starts of one group, best first.
        total: The weight of the rows of the group, (1,).
    """
    best = _best(found, total)
    for _ in range(_ROUNDS):
        if best.interrupted or best.starts.components < 3 or best.ends[0] != End.CONVERGED:
            return best
        after = _best(best.joined(_followed(best, total)), total)
        if not after.objective[0, 0] > best.objective[0, 0] + SAME / total[0]:
            return best
        best = after
    return best


def _best(flight: SmallFlight[Any], total: Array) -> SmallFlight[Any]:
    """The best few optima of the data."""
    flight, _ = distinct(flight, np.ones(flight.objective.shape, np.int64), total, flight.objective.shape[1])
    order = np.argsort(flight.spurious(total), 1, kind="stable")
    return flight.kept(order[:, :_BASES])


def _followed(best: SmallFlight[Any], total: Array) -> SmallFlight[Any]:
    """The best few of all moves, where they end."""
    tried = best.moves().advanced(_SHORT)
    tried, _ = distinct(tried, np.ones(tried.objective.shape, np.int64), total, _FOLLOWED)
    return tried.finished()
