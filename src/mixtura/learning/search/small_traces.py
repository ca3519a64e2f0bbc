"""Objectives of many starts by update, in the pieces in which they were found: most starts end long before the last."""

from __future__ import annotations

from dataclasses import dataclass
from typing import NamedTuple

import numpy as np

from ...kernels.small import Outcome
from .flight import Array

__all__ = ["Piece", "Traces"]


class Piece(NamedTuple):
    """What one call found.

    Attributes:
        lines: Where the objectives are of each start that ever began, (S',); -1 where it had ended before.
        values: The objectives, (S", T), NaN after the last.
    """

    lines: Array
    values: Array


@dataclass(frozen=True, eq=False)
class Traces:
    """The objectives of starts.

    Arguments:
        count: How many starts began, S'.
        begun: Which of those each is, (S,).
        pieces: What was found, call by call.
    """

    count: int
    begun: Array
    pieces: tuple[Piece, ...] = ()

    @classmethod
    def of_none(cls, count: int) -> Traces:
        """Those of so many starts with which nothing was done."""
        return cls(count, np.arange(count))

    def further(self, going: Array, found: Outcome) -> Traces:
        """These, and what was found of some; a stretch begins where the last one ended."""
        lines = np.full(self.count, -1)
        lines[self.begun[going]] = np.arange(len(going))
        values = found.traces[:, min(1, len(self.pieces)) : int(found.lengths.max())]
        return Traces(self.count, self.begun, (*self.pieces, Piece(lines, values)))

    def kept(self, index: Array) -> Traces:
        """Those of some starts."""
        return Traces(self.count, self.begun[index], self.pieces)

    def of(self, start: int) -> Array:
        """The objectives of one start."""
        line = self.begun[start]
        parts = [piece.values[piece.lines[line]] for piece in self.pieces if piece.lines[line] >= 0]
        whole = np.concatenate([np.zeros(0), *parts])
        return whole[~np.isnan(whole)]
