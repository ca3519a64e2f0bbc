"""Columns without a name that number the rows: what the index of a frame becomes in a file.

Such a column stands first, and holds whole numbers. It says nothing of a row but its place, so it is no feature unless
it is asked for; that it was left out is said.
"""

from __future__ import annotations

import re
import warnings
from collections.abc import Callable, Sequence

__all__ = ["leave_out", "numbering", "told"]

_NAMELESS = re.compile(r"|Unnamed: \d+(\.\d+)?(_level_\d+)?|__index_level_\d+__")


def numbering(names: Sequence[str], is_whole: Callable[[str], bool]) -> tuple[str, ...]:
    """The first columns that have no name and hold whole numbers; none where no other column is left.

    Arguments:
        names: The names of all columns, in order.
        is_whole: Whether the column of that name holds whole numbers only.

    Example:
        >>> from mixtura.data.row_numbers import numbering
        >>> numbering(["Unnamed: 0", "a"], lambda name: True)
        ('Unnamed: 0',)
    """
    found: list[str] = []
    for name in names:
        if not (_NAMELESS.fullmatch(name) and is_whole(name)):
            break
        found.append(name)
    return tuple(found) if len(found) < len(names) else ()


def told(left_out: Sequence[str]) -> str:
    """What to say of columns that were left out."""
    return f"the first column ({', '.join(map(repr, left_out))}), which has no name and numbers the rows"


def leave_out(left_out: Sequence[str]) -> None:
    """Says that columns were left out, where some were."""
    if left_out:
        warnings.warn(f"Left out: {told(left_out)}. To choose others, name them: columns=[...].", stacklevel=4)
