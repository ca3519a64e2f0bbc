"""How a text file is written: its encoding, delimiter and decimal mark, told from its beginning.

An encoding is known by the mark at the top, and is UTF-8 where there is none. A delimiter is one that cuts the first
lines into equally many fields, the one that the file's ending promises where it does. Decimal commas are taken for such
where no number has a point and some comma stands before other than three digits: 1,234 alone may be a thousand.
"""

from __future__ import annotations

import codecs
import csv
import gzip
import io
import re
from collections.abc import Sequence
from pathlib import Path
from typing import Any, NamedTuple, NoReturn
from zlib import error as DeflateError

from mixtura.errors import MixtureError, refuse

__all__ = ["Dialect", "dialect_of", "refuse_encoding"]

_BEGINNING = 2**20  # bytes
_LINES = 100
_DELIMITERS = (",", ";", "\t", "|")
_MARKS = (
    (codecs.BOM_UTF8, "utf-8-sig"),
    (codecs.BOM_UTF32_LE, "utf-32"),
    (codecs.BOM_UTF32_BE, "utf-32"),
    (codecs.BOM_UTF16_LE, "utf-16"),
    (codecs.BOM_UTF16_BE, "utf-16"),
)
_COMMA = re.compile(r"\s*[+-]?\d*,(\d{1,2}|\d{4,})([eE][+-]?\d+)?\s*")
_POINT = re.compile(r"\s*[+-]?(\d+\.\d*|\.\d+)([eE][+-]?\d+)?\s*")


class Dialect(NamedTuple):
    """How a text file is written, and the names in its first line."""

    encoding: str
    delimiter: str
    decimal: str
    names: tuple[str, ...]


def dialect_of(path: Path, delimiter: str) -> Dialect:
    """The dialect of a text file, or of one packed as .gz.

    Arguments:
        path: The file.
        delimiter: What its ending promises.

    Raises:
        MixtureError: If it is not text in an encoding that can be told.

    Example:
        >>> from mixtura import datasets
        >>> from mixtura.data.dialect import dialect_of
        >>> dialect_of(datasets.path("old_faithful"), ",")
        Dialect(encoding='utf-8', delimiter=',', decimal='.', names=('eruptions', 'waiting'))
    """
    head = _beginning(path)
    encoding = next((name for mark, name in _MARKS if head.startswith(mark)), "utf-8")
    text = _decoded(path, head, encoding)
    tables = {one: _fields(text, one) for one in (delimiter, *_DELIMITERS)}
    best = max(tables, key=lambda one: _width(tables[one]))
    rows = tables[best] or [[]]
    return Dialect(encoding, best, _decimal(rows[1:], best), tuple(rows[0]))


def _beginning(path: Path) -> bytes:
    opener: Any = gzip.open if path.suffix == ".gz" else open
    try:
        with opener(path, "rb") as file:
            return file.read(_BEGINNING)
    except (gzip.BadGzipFile, EOFError, DeflateError) as error:
        raise MixtureError(f"`x` must be a file that can be read; got {path}, where {error}") from error


def _decoded(path: Path, head: bytes, encoding: str) -> str:
    if encoding == "utf-8" and b"\0" in head[:1000]:
        _refuse_zeros(path, head)
    try:
        return codecs.getincrementaldecoder(encoding)().decode(head, final=len(head) < _BEGINNING)
    except UnicodeDecodeError as error:
        refuse_encoding(path, head, error.start)


def _refuse_zeros(path: Path, head: bytes) -> NoReturn:
    name = "UTF-16LE" if head[1:2] == b"\0" else "UTF-16BE"
    advice = f"It may be UTF-16 without a mark at its top: iconv -f {name} -t UTF-8 {path.name} > utf8.csv"
    refuse("x", f"text in UTF-8 ({path})", "bytes of zero", advice)


def refuse_encoding(path: Path, head: bytes | None = None, place: int | None = None) -> NoReturn:
    """Refuses a file that is not UTF-8, with the line where that shows, if it is known."""
    came = "bytes that are not"
    if head is not None and place is not None:
        lines = head[: place + 1].splitlines()
        line = head[place + 1 - len(lines[-1]) :].splitlines()[0][:80].decode("latin-1")
        came += f", first in line {len(lines)}, which in Latin-1 reads {line!r}"
    advice = f"If it is Latin-1 (Windows-1252), convert it: iconv -f LATIN1 -t UTF-8 {path.name} > utf8.csv"
    refuse("x", f"text in UTF-8 ({path})", came, advice)


def _fields(text: str, delimiter: str) -> list[list[str]]:
    """The fields of the first lines; nothing where they cannot be cut."""
    found: list[list[str]] = []
    try:
        for row in csv.reader(io.StringIO(text, newline=""), delimiter=delimiter):
            found += [row] if row else []
            if len(found) > _LINES:
                break
    except csv.Error:
        return found[:1]
    whole = len(text) < _BEGINNING or len(found) > _LINES
    return found if whole else found[:-1] or found


def _width(rows: Sequence[Sequence[str]]) -> int:
    """How many fields every line has; one where they differ."""
    widths = {len(row) for row in rows}
    return widths.pop() if len(widths) == 1 else 1


def _decimal(rows: Sequence[Sequence[str]], delimiter: str) -> str:
    cells = [] if delimiter == "," else [cell for row in rows for cell in row]
    commas = any(_COMMA.fullmatch(cell) for cell in cells)
    return "," if commas and not any(_POINT.fullmatch(cell) for cell in cells) else "."
