"""Moves from the best optimum: a component is taken from where it is of little use and put where one is missing.

Of K components, i is dropped and j becomes two, apart or one inside the other, as its kind says. All pairs (i, j) race
for a few updates; the best go on to the end, and what they found is the new best if it gains. That is repeated until
nothing gains.
"""

from __future__ import annotations

from typing import Any

import numpy as np

from ...kernels.small import End
from .flight import Array
from .race import SAME, Raced, distinct, ended
from .small_flight import SmallFlight

__all__ = ["moved"]

_ROUNDS = 20  # a bound that is never met: each round must gain
_SHORT = 10  # updates in a leg
_FEWEST, _MOST = 4, 10  # moves that go on
_PACES = 2.0  # legs like the last one within which a move must be where it came from


def moved(found: Raced[SmallFlight[Any]], total: Array) -> tuple[SmallFlight[Any], bool]:
    """Returns the best start, which ends no lower than that of a race of one group, and whether it is spurious.

    Arguments:
        found: What the race came to.
        total: The weight of the rows of the group, (1,).
    """
    best, spurious = found.flight.first, bool(found.spurious[0, 0])
    for _ in range(_ROUNDS):
        if best.interrupted or best.starts.components < 2 or best.ends[0] != End.CONVERGED:
            break
        after = _followed(best, spurious, total)
        if not _better(after, best, spurious, total):
            break
        best, spurious = after.flight.first, bool(after.spurious[0, 0])
    return best, spurious


def _followed(best: SmallFlight[Any], spurious: bool, total: Array) -> Raced[SmallFlight[Any]]:
    """What all moves lead to; from a spurious optimum, those that leave it."""
    tried = best.moves.advanced(_SHORT)
    few = min(_MOST, max(_FEWEST, tried.objective.shape[1] // 2))
    tried = tried.chosen(~tried.spurious(total) if spurious else np.isfinite(tried.objective))
    near = distinct(tried, np.ones(tried.objective.shape, np.int64), total, few)[0]
    later = near.advanced(_SHORT)
    with np.errstate(invalid="ignore"):  # some never had an objective
        hopeful = spurious | (later.objective + _PACES * (later.objective - near.objective) > best.objective)
    later = later.chosen(hopeful)
    later, counts = distinct(later, np.ones(later.objective.shape, np.int64), total, _FEWEST)
    return ended(later, counts, total)


def _better(after: Raced[SmallFlight[Any]], best: SmallFlight[Any], spurious: bool, total: Array) -> bool:
    """Whether the first of some optima is one of the data's that gains, or the first one of the data's."""
    if not after.counts.size or after.spurious[0, 0]:
        return False
    end = after.flight.objective[0, 0]
    return bool(np.isfinite(end)) if spurious else bool(end > best.objective[0, 0] + SAME / total[0])
