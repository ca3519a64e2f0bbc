"""Cells over problems as lines of a table: medians, because a rule that diverges has no mean."""

from __future__ import annotations

import math
from collections.abc import Iterable, Sequence
from typing import NamedTuple

from .comparison import Cell

__all__ = ["Line", "median", "shown", "summarised"]

_LEVEL = 0.05
_DIVERGED = 1e3  # floors


class Line(NamedTuple):
    """One rule by one metric, over problems.

    Arguments:
        rule: The rule's name.
        metric: The metric's.
        value: The median over problems.
        least: The least value.
        most: The greatest.
        floor: The median of the floors.
        exact: For how many problems the samples could be exact, by a p-value above 0.05.
        problems: The number of problems.
        seconds: What samples took, on average.
    """

    rule: str
    metric: str
    value: float
    least: float
    most: float
    floor: float
    exact: int
    problems: int
    seconds: float


def summarised(cells: Iterable[Cell]) -> list[Line]:
    """Returns a line for each metric and rule, in the order in which they come.

    Example:
        >>> cell = mx.diffusion.bench.Cell("p", "dps", "SW1", 2.0, 0.5, 0.1, 0.05, 0.3)
        >>> line, = mx.diffusion.bench.summarised([cell, cell._replace(value=float("nan"))])
        >>> line.value, line.floor, line.exact, line.problems
        (inf, 0.5, 0, 2)
    """
    groups: dict[tuple[str, str], list[Cell]] = {}
    for cell in cells:
        groups.setdefault((cell.metric, cell.rule), []).append(cell)
    return [_line(*key, each) for key, each in groups.items()]


def median(numbers: Iterable[float]) -> float:
    """The median, where what is not a number is larger than all that are."""
    ordered = _ordered(numbers)
    half = len(ordered) // 2
    return ordered[half] if len(ordered) % 2 else 0.5 * (ordered[half - 1] + ordered[half])


def shown(value: float, floor: float) -> str:
    """A number in two digits; one that is far from anything, a thousand floors and more, has diverged."""
    if not value <= _DIVERGED * max(floor, 1e-3):
        return "diverged"
    return f"{value:.0f}" if value >= 100 else f"{value:.2g}"


def _line(metric: str, rule: str, cells: Sequence[Cell]) -> Line:
    values = _ordered(cell.value for cell in cells)
    exact = sum(cell.p_value > _LEVEL for cell in cells)
    floor, seconds = median(cell.floor for cell in cells), sum(cell.seconds for cell in cells) / len(cells)
    return Line(rule, metric, median(values), values[0], values[-1], floor, exact, len(cells), seconds)


def _ordered(numbers: Iterable[float]) -> list[float]:
    return sorted(math.inf if math.isnan(number) else number for number in numbers)
