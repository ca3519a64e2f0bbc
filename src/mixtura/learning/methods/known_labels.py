"""What K-means knows of its rows from one pass to the next: a rule for each block that remembers, or nothing."""

from __future__ import annotations

from ...components import Labels
from ...data import Rows
from ...kernels import Remembered, nearest

__all__ = ["NOTHING_KNOWN", "Known"]

_MOST = 2**26  # numbers of which a copy in single precision, 256 MiB, is kept


class Known:
    """Nothing: every pass over rows that are read anew looks at all distances."""

    @staticmethod
    def of(rows: Rows) -> Known:
        """Returns what one run remembers of its rows: of those in memory, where a copy of them is no burden."""
        return _Blocks() if rows.in_memory and len(rows) * rows.features <= _MOST else NOTHING_KNOWN

    def at(self, start: int) -> Labels:
        """Returns the rule for the block that starts with this row."""
        return nearest


class _Blocks(Known):
    """A rule for each block, which remembers."""

    def __init__(self) -> None:
        self._rules: dict[int, Remembered] = {}

    def at(self, start: int) -> Labels:
        return self._rules.setdefault(start, Remembered())


NOTHING_KNOWN = Known()
