"""Moves from the best optima: a component is taken from where it is of little use and put where one is missing.

Of K components, i is dropped and j becomes two, apart or one inside the other, as its kind says. All pairs (i, j) go on
while there is hope that they end above the best optimum; what does is the new best. That is repeated, each time from
the best optimum from which no moves were tried, until they gained nothing twice in a row: beside the best optimum of
all there may be one that is better than all its neighbours but lower.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np

from ...kernels.small import End
from .flight import Array
from .race import SAME, Raced, distinct
from .small_flight import SmallFlight

__all__ = ["moved"]

Known = Callable[[], SmallFlight[Any]]
"""An optimum, made when it is called for."""

_ROUNDS = 20  # a bound that is hardly ever met: each round but one must gain
_IDLE = 2  # rounds without a gain after which the search ends
_SHORT = 10  # updates after which it is known who leaves a spurious optimum
_FEWEST = 4  # of these that go on


def moved(found: Raced[SmallFlight[Any]], total: Array) -> tuple[SmallFlight[Any], bool]:
    """Returns the best start, which ends no lower than that of a race of one group, and whether it is spurious.

    Arguments:
        found: What the race came to.
        total: The weight of the rows of the group, (1,).
    """
    best, spurious = found.flight.first, bool(found.spurious[0, 0])
    if best.interrupted or best.starts.components < 2 or best.ends[0] != End.CONVERGED:
        return best, spurious
    sound = (found.counts > 0) & ~found.spurious & (found.flight.ends == End.CONVERGED)
    known = _left(best, total) if spurious else found.flight.chosen(sound).each
    return (_climbed(known, total), False) if known else (best, True)


def _climbed(known: list[Known], total: Array) -> SmallFlight[Any]:
    """The best of the optima that are known, best first, and of those that moves from them lead to."""
    best, idle, improved = known[0](), 0, False
    for _ in range(_ROUNDS):
        sought = best.objective[0, 0] + SAME / total[0]
        tried = known.pop(0)().moves.finished(sought=sought)
        better = _optima(tried, tried.objective >= sought, total)
        best, idle, improved = (better[0](), 0, True) if better else (best, idle + 1, improved)
        known = [*better, *known]
        if idle == 1 + improved or not known or tried.interrupted:
            break
    return best


def _left(spurious: SmallFlight[Any], total: Array) -> list[Known]:
    """The optima of the data's that moves from a spurious one lead to, best first."""
    tried = spurious.moves.advanced(_SHORT)
    tried = tried.chosen(~tried.spurious(total))
    near = distinct(tried, np.ones(tried.objective.shape, np.int64), total, _FEWEST)[0].finished()
    return _optima(near, np.isfinite(near.objective), total)


def _optima(flight: SmallFlight[Any], which: Array, total: Array) -> list[Known]:
    """Optima of the data's among some starts, best first, each once."""
    which = which & (flight.ends == End.CONVERGED)
    if not which.any():
        return []
    some = flight.chosen(which)
    some, counts = distinct(some, np.ones(some.objective.shape, np.int64), total, which.sum())
    return some.chosen((counts > 0) & ~some.spurious(total)).each
