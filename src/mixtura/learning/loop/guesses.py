"""Which guesses a loop makes of where updates lead: none, quasi-Newton steps, extrapolated sums, or bold updates."""

from __future__ import annotations

from typing import TYPE_CHECKING

from .climbing import Climb
from .extrapolation import PLAIN, Bold, Extrapolation, Plain
from .traces import Run, State

if TYPE_CHECKING:
    from .method import Method

__all__ = ["guesses"]


def guesses(method: Method, state: State, runs: list[Run], exact: bool) -> Plain:
    """Returns what makes guesses for a method and its components, where these can; rows may be as they were drawn."""
    components = method.expected(state).components
    if method.steep and components.climbs:
        return Climb.of(runs, exact=exact)
    if method.accelerated and components.sums_add:
        return Extrapolation.of(runs, exact=exact)
    return Bold.of(runs) if method.monotone and components.bold else PLAIN
