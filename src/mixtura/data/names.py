"""Choosing columns by name, and saying clearly why a name or a column cannot be used."""

from __future__ import annotations

import difflib
import re
from collections.abc import Iterable, Sequence
from typing import NamedTuple, NoReturn

from mixtura.errors import MixtureError, refuse

__all__ = ["Choice", "TextColumns", "choose", "first_text", "refuse_text"]


class Choice(NamedTuple):
    """Which columns of a table are read: `names` in order, `weight` or None, and whether rows are single
    numbers."""

    names: tuple[str, ...]
    weight: str | None
    vector: bool

    @property
    def read(self) -> tuple[str, ...]:
        """Every column to read, each once."""
        return tuple(dict.fromkeys((*self.names, self.weight))) if self.weight else self.names


def choose(
    available: Sequence[str],
    columns: str | Sequence[str] | None,
    weight: object,
    argument: str = "columns",
    left_out: Sequence[str] = (),
) -> Choice:
    """The columns asked for; when none are, all but the weight and those left out.

    ValueError, which names the argument, for a name that is absent or there twice.
    """
    weight = weight if isinstance(weight, str) else None
    every = tuple(name for name in available if name != weight and name not in left_out)
    names = every if columns is None else _listed(columns)
    if not names:
        refuse(argument, "at least one column", "none")
    _check_known(names, available, argument)
    _check_known((weight,) if weight else (), available, "weight")
    return Choice(names, weight, isinstance(columns, str))


def _listed(columns: str | Sequence[str]) -> tuple[str, ...]:
    return (columns,) if isinstance(columns, str) else tuple(str(name) for name in columns)


def _check_known(names: tuple[str, ...], available: Sequence[str], argument: str) -> None:
    for name in names:
        if name not in available:
            _refuse_unknown(name, available, argument)
        if names.count(name) > 1 or list(available).count(name) > 1:
            refuse(argument, "names that occur once", f"{name!r} twice", "Name each column once.")


def _refuse_unknown(name: str, available: Sequence[str], argument: str) -> NoReturn:
    lower = {other.lower(): other for other in available}
    near = difflib.get_close_matches(name.lower(), lower, n=1, cutoff=0.5)
    hint = f"Did you mean {lower[near[0]]!r}? " if near else ""
    refuse(
        argument,
        "names of columns",
        f"{name!r}, which is not one",
        f"{hint}The columns are: {_shown(available)}.",
    )


class TextColumns(MixtureError):
    """Columns that do not hold numbers.

    Arguments:
        complaint: What is wrong, with an example.
        text: The columns asked for that do not hold numbers.
        numeric: Those that do.
    """

    def __init__(self, complaint: str, text: Sequence[str], numeric: Sequence[str]) -> None:
        advice = f"Leave it out: columns={list(numeric)!r}." if numeric else "No column holds numbers."
        super().__init__(f"{complaint} {advice}")
        self.complaint, self.text, self.numeric = complaint, tuple(text), tuple(numeric)


def refuse_text(kind: str, example: object, text: Sequence[str], numeric: Sequence[str]) -> NoReturn:
    """Raises `TextColumns` for columns that do not hold numbers; the first is the one that the example is from."""
    came = f"{kind} in column {text[0]!r}, for example {example!r}"
    raise TextColumns(f"`columns` must be columns of numbers; got {came}.{_as_number(example)}", text, numeric)


def _as_number(example: object) -> str:
    """How a text that looks like a number is to be written, so that it is one."""
    if re.fullmatch(r"\s*[+-]?\d{1,3}([,.'\s]\d{3})+([.,]\d*)?\s*", str(example)):
        return " If these are numbers, write them without separators of thousands, and with decimal points."
    if re.fullmatch(r"\s*[+-]?\d*,\d+\s*", str(example)):
        return " If these are numbers, write them with decimal points."
    return ""


def first_text(values: Iterable[object]) -> object:
    """The first value that is not a number (the first value where all are, None where there are none)."""
    first = None
    for value in values:
        first = value if first is None else first
        if value is not None and not _is_number(value):
            return value
    return first


def _is_number(value: object) -> bool:
    if isinstance(value, complex):
        return False
    try:
        float(value)  # type: ignore[arg-type]
    except (TypeError, ValueError):
        return False
    return True


def _shown(names: Sequence[str], most: int = 20) -> str:
    more = f", ... ({len(names)} in all)" if len(names) > most else ""
    return ", ".join(names[:most]) + more
