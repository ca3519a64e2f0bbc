"""What depends on data alone, computed once: columns of a table that lie as the loop over rows reads them.

A column is stored where it took work (a logarithm, a gamma function); sums and products of a few columns are made
again in the loop, which takes less time than memory does.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import torch

from .program import Loop, evaluated, needed
from .tape import ROW, Node

__all__ = ["LANES", "Table", "table"]

LANES = 8
"""Rows that are worked on together."""

_CHEAP = frozenset({"add", "sub", "mul", "neg"})
_WORK = 3  # operations that are made again rather than remembered


@dataclass(frozen=True)
class Table:
    """Columns in blocks of rows, a column's numbers of a block side by side; the last row fills up the last block."""

    numbers: np.ndarray  # (blocks, columns, LANES)
    places: dict[Node, int]
    rows: int

    @property
    def blocks(self) -> int:
        """Blocks of rows."""
        return len(self.numbers)


def table(loop: Loop) -> Table:
    """The columns that the sums over rows need."""
    stored = _stored(loop)
    found = evaluated(stored, loop)
    blocks = -(-loop.rows // LANES)
    rows = np.minimum(np.arange(blocks * LANES), loop.rows - 1)
    whole = torch.stack([one.expand(loop.rows) for one in found], 1).numpy() if found else np.empty((loop.rows, 0))
    numbers = whole[rows].reshape(blocks, LANES, -1).transpose(0, 2, 1)
    return Table(numbers, {node: place for place, node in enumerate(stored)}, loop.rows)


def _stored(loop: Loop) -> list[Node]:
    """Nodes of data alone that are asked for by others, as far as they are not made again."""
    work: dict[Node, int] = {}
    stored: dict[Node, None] = {}
    for node in needed(loop.sums):
        if node.needs != ROW:
            for one in node.inner:
                if one.needs == ROW:
                    _settle(one, work, stored)
        elif node.op in _CHEAP:
            work[node] = 1 + sum(work.get(one, 0) for one in node.inner)
    return sorted(stored, key=lambda one: one.index)


def _settle(node: Node, work: dict[Node, int], stored: dict[Node, None]) -> None:
    """Stores a node, or those that it is made of in a few operations."""
    if node in stored:
        return
    if 0 < work.get(node, 0) <= _WORK:
        for one in node.inner:
            if one.needs:
                _settle(one, work, stored)
    else:
        stored[node] = None
