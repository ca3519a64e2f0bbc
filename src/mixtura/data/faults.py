"""Entries of rows that cannot be used: how many there are, and where the first few stand."""

from __future__ import annotations

from dataclasses import dataclass
from typing import NamedTuple

from torch import Tensor

__all__ = ["Entry", "Faults"]

_SHOWN = 5


class Entry(NamedTuple):
    """An entry by its row and column, both counted from 0, and what it holds."""

    row: int
    column: int
    value: float


@dataclass(frozen=True)
class Faults:
    """How many entries are wrong, and the first few of them; those of two blocks add up.

    Arguments:
        count: How many there are.
        first: The first few, in the order of the rows.
    """

    count: int
    first: tuple[Entry, ...]

    @classmethod
    def of(cls, values: Tensor, wrong: Tensor, start: int) -> Faults:
        """Returns those of a block of rows ``(n, D)`` that begins at row ``start``."""
        places = wrong.nonzero()[:_SHOWN].tolist() if bool(wrong.any()) else []
        first = (Entry(start + row, column, values[row, column].item()) for row, column in places)
        return cls(int(wrong.sum()), tuple(first))

    def __add__(self, other: Faults) -> Faults:
        return Faults(self.count + other.count, (self.first + other.first)[:_SHOWN])

    @property
    def more(self) -> str:
        """What to say of those beyond the first few."""
        return f" and {self.count - len(self.first)} more" if self.count > len(self.first) else ""
