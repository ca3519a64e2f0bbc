"""Starts that are rivals: one that cannot pass where another ended is given up.

What is left to gain is judged by what was gained: a start goes on while three times the gain of its last ten updates,
or of the later half of all if that is more of them, would lead it past the best end of the others. An end that is none
of the data's does not count.
"""

from __future__ import annotations

import math
from collections.abc import Callable

from .reason import Reason
from .traces import Run, State

__all__ = ["Sound", "hopeful"]

Sound = Callable[[State], bool]
"""Whether a state where a start converged counts as an end that others must pass."""

_FEWEST = 10  # updates by whose gain a start is judged
_PACES = 3.0  # times that gain, which it may still gain


def hopeful(going: list[bool], alive: list[Run], runs: list[Run], sound: Sound) -> list[bool]:
    """Tells which starts go on; notes of those that do not that they were given up."""
    if not any(going) or not (ends := [one for one in runs if one.reason is Reason.CONVERGED]):
        return going
    best = max(ends, key=lambda one: one.objective)
    lost = [goes and _lost(one, best.objective) for goes, one in zip(going, alive, strict=True)]
    if not any(lost) or not sound(best.state):
        return going
    for one, gone in zip(alive, lost, strict=True):
        one.given_up = gone
    return [goes and not gone for goes, gone in zip(going, lost, strict=True)]


def _lost(one: Run, best: float) -> bool:
    window = max(_FEWEST, len(one.trace) // 2)
    gained = one.objective - one.trace[-1 - window] if len(one.trace) > window else math.inf
    return one.objective + _PACES * gained < best
