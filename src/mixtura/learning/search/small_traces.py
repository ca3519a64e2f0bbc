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
        lines: Where each start's objectives are, (S,); -1 where it had ended before.
        values: The objectives, (S', T), NaN after the last.
    """

    lines: Array
    values: Array


@dataclass(frozen=True, eq=False)
class Traces:
    """The objectives of starts.

    Arguments:
        pieces: What was found, call by call.
    """

    pieces: tuple[Piece, ...] = ()

    def further(self, count: int, going: Array, found: Outcome) -> Traces:
        """These, of so many starts, and what was found of some; a stretch begins where the last one ended."""
        lines = np.full(count, -1)
        lines[going] = np.arange(len(going))
        values = found.traces[:, min(1, len(self.pieces)) : int(found.lengths.max())]
        return Traces((*self.pieces, Piece(lines, values)))

    def kept(self, index: Array) -> Traces:
        """Those of some starts."""
        return Traces(tuple(Piece(piece.lines[index], piece.values) for piece in self.pieces))

    def of(self, start: int) -> Array:
        """The objectives of one start."""
        parts = [piece.values[piece.lines[start]] for piece in self.pieces if piece.lines[start] >= 0]
        whole = np.concatenate([np.zeros(0), *parts])
        return whole[~np.isnan(whole)]
