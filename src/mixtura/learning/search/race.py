r"""A race of starts: after a few updates the better half goes on, of several that came to the same place only one.

Two starts whose objectives are within a twentieth of a nat, over all rows, have come to the same optimum, or will. How
many came to each is counted: it tells how sure the best one is. An optimum that is none of the data's comes after all
others (see `spurious`).
"""

from __future__ import annotations

from typing import Generic, NamedTuple, Self, TypeVar

import numpy as np

from ..loop.traces import Report
from .flight import Array, Flight

__all__ = ["LONG", "MANY", "SAME", "SHORT", "Course", "Raced", "distinct", "ended", "raced"]

FlightT = TypeVar("FlightT", bound=Flight)

SAME = 0.05  # nats, over all rows


class Course(NamedTuple):
    """How a race goes: updates in each leg, how few starts go on to the end, of how many one goes on after a leg."""

    legs: tuple[int, ...]
    fewest: int
    share: int = 2


LONG, SHORT, MANY = Course((10, 20), 3), Course((5,), 1, 4), Course((5, 15), 1, 4)


class Raced(NamedTuple, Generic[FlightT]):
    """Starts that went to the end, best first; how many came to each, and whether it is spurious, (G, B)."""

    flight: FlightT
    counts: Array
    spurious: Array

    @property
    def sorted(self) -> Self:
        """The same with optima that are none of the data's behind all others."""
        order = np.argsort(self.spurious, 1, kind="stable")
        return type(self)(self.flight.kept(order), _taken(self.counts, order), _taken(self.spurious, order))


def raced(flight: FlightT, total: Array, report: Report | None = None, course: Course = LONG) -> Raced[FlightT]:
    """Returns the starts that went to the end.

    Arguments:
        flight: The starts.
        total: The weight of the rows of each group, (G,).
        report: Called after each iteration of the last leg.
        course: How long the legs are.
    """
    counts: Array = np.ones(flight.objective.shape, np.int64)
    for updates in course.legs:
        keep = max(course.fewest, counts.shape[1] // course.share)
        if counts.shape[1] > 1 and not flight.interrupted:
            flight, counts = distinct(flight.advanced(min(updates, flight.method.max_iterations)), counts, total, keep)
    return ended(flight, counts, total, report)


def ended(flight: FlightT, counts: Array, total: Array, report: Report | None = None) -> Raced[FlightT]:
    """Returns some starts where they end, to which so many came already."""
    flight = flight if flight.interrupted else flight.finished(report)
    flight, counts = distinct(flight, counts, total, counts.shape[1])
    if flight.given_up.any():
        index = np.argsort(flight.given_up, 1, kind="stable")[:, : (~flight.given_up).sum(1).max()]
        flight, counts = flight.kept(index), _taken(counts, index)
    return Raced(flight, counts, flight.spurious(total)).sorted


def distinct(flight: FlightT, counts: Array, total: Array, keep: int) -> tuple[FlightT, Array]:
    """Returns the best so many starts of each group, best first, without those that came to the place of another."""
    order = np.argsort(-flight.objective, 1, kind="stable")
    objective = _taken(flight.objective, order)
    gap = np.full(objective.shape, np.nan)  # two broken starts, both at minus infinity, are two
    np.subtract(objective[:, :-1], objective[:, 1:], out=gap[:, 1:], where=np.isfinite(objective[:, :-1]))
    new = ~(gap < SAME / total[:, None])
    place = np.cumsum(new, 1) - 1
    found = np.zeros_like(counts)
    np.add.at(found, (np.arange(len(counts))[:, None], place), _taken(counts, order))
    first = np.argsort(~new, 1, kind="stable")  # those that are new, best first, before those that are not
    many = new.sum(1)
    keep = min(keep, int(many.max()))
    index = _taken(order, first)[:, :keep]
    return flight.kept(index), np.where(np.arange(keep) < many[:, None], found[:, :keep], 0)


def _taken(values: Array, index: Array) -> Array:
    """Some values of each group, (G, B) and (G, B')."""
    return values[np.arange(len(values))[:, None], index]
