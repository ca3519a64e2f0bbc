"""What a search says of each optimum that it went to the end of."""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple

from ..loop.reason import Reason
from ..loop.traces import Run

__all__ = ["Optimum", "told_of", "optima"]


class Optimum(NamedTuple):
    """An optimum and how sure it is.

    Attributes:
        objective: What the method ascends, in nats per row.
        found: How many starts came to it; those that were given up on the way count for none.
        reason: Why the run to it stopped.
        spurious: Whether a component is on a handful of rows or a plane of points, so that it is none of the data's.

    Example:
        >>> fit = mx.fit(mx.datasets.old_faithful(), components=2)
        >>> fit.restarts[0].found > 1, fit.restarts[0].spurious
        (True, False)
    """

    objective: float
    found: int
    reason: Reason
    spurious: bool


def optima(runs: Sequence[Run]) -> tuple[Optimum, ...]:
    """Returns what runs, best first, came to."""
    return tuple(Optimum(one.objective, one.found, one.reason, one.spurious) for one in runs)


def told_of(found: Sequence[Optimum]) -> str:
    """Says how often each optimum was found."""
    each = [f"{one.objective:.6f} nats per row by {one.found}{_doubt(one)}" for one in found]
    return f"Starts came to {len(each)} different optima: {', '.join(each)}." if len(each) > 1 else ""


def _doubt(one: Optimum) -> str:
    return (
        " (spurious)" if one.spurious else f" ({one.reason.name.lower()})" if one.reason is not Reason.CONVERGED else ""
    )
