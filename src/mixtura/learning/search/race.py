r"""A race of starts: after a few updates the better half goes on, of several that came to the same place only one.

Two starts whose objectives are within a twentieth of a nat, over all rows, have come to the same optimum, or will. How
many came to each is counted: it tells how sure the best one is. An optimum that is none of the data's comes after all
others (see `spurious`).
"""

from __future__ import annotations

from typing import NamedTuple, TypeVar

import numpy as np

from ..loop.traces import Report
from .flight import Array, Flight

__all__ = ["LONG", "MANY", "SAME", "SHORT", "Course", "distinct", "raced"]

FlightT = TypeVar("FlightT", bound=Flight)

SAME = 0.05  # nats, over all rows


class Course(NamedTuple):
    """How a race goes: updates before each halving, and how few starts go on to the end."""

    legs: tuple[int, ...]
    fewest: int


LONG, SHORT, MANY = Course((10, 20), 3), Course((5, 10), 1), Course((4, 8, 16), 1)


def raced(flight: FlightT, total: Array, report: Report | None = None, course: Course = LONG) -> tuple[FlightT, Array]:
    """Returns the starts that went to the end, best first, and how many came to each, (G, B).

    Arguments:
        flight: The starts.
        total: The weight of the rows of each group, (G,).
        report: Called after each iteration of the last leg.
        course: How long the legs are.
    """
    counts: Array = np.ones(flight.objective.shape, np.int64)
    for updates in course.legs:
        keep = max(course.fewest, counts.shape[1] // 2)
        if counts.shape[1] > 1 and not flight.interrupted:
            flight, counts = distinct(flight.advanced(min(updates, flight.method.max_iterations)), counts, total, keep)
    flight = flight if flight.interrupted else flight.finished(report)
    flight, counts = distinct(flight, counts, total, counts.shape[1])
    order = np.argsort(flight.spurious(total), 1, kind="stable")
    return flight.kept(order), np.take_along_axis(counts, order, 1)


def distinct(flight: FlightT, counts: Array, total: Array, keep: int) -> tuple[FlightT, Array]:
    """Returns the best so many starts of each group, best first, without those that came to the place of another."""
    order = np.argsort(-flight.objective, 1, kind="stable")
    objective = np.take_along_axis(flight.objective, order, 1)
    with np.errstate(invalid="ignore"):  # two broken starts, both at minus infinity, are two
        new = ~(-np.diff(objective, axis=1, prepend=np.inf) < SAME / total[:, None])
    place = np.cumsum(new, 1) - 1
    found = np.zeros_like(counts)
    np.add.at(found, (np.arange(len(counts))[:, None], place), np.take_along_axis(counts, order, 1))
    first = np.argsort(~new, 1, kind="stable")  # those that are new, best first, before those that are not
    keep = min(keep, int(new.sum(1).max()))
    index = np.take_along_axis(order, first, 1)[:, :keep]
    return flight.kept(index), np.where(np.arange(keep) < new.sum(1)[:, None], found[:, :keep], 0)
