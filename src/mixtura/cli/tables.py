"""Tables written piece by piece, so that they need not fit in memory; the ending of the file's name says how."""

from __future__ import annotations

import csv
from abc import ABC, abstractmethod
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any

import numpy
from torch import Tensor

from .._writing import whole_file
from ..data.arrow import pyarrow
from ..errors import refuse

__all__ = ["TABLES", "Piece", "check_table", "write_table"]

Piece = Mapping[str, Any]
"""Some rows of a table: columns by name, all of one length; tensors, or arrays of texts."""


class Table(ABC):
    """A table that takes pieces one after the other."""

    def __init__(self, path: Path) -> None:
        self.path = path

    @abstractmethod
    def add(self, piece: Piece) -> None:
        """Writes the next rows."""

    @abstractmethod
    def close(self) -> None:
        """Finishes the file."""


class CsvTable(Table):
    """Text, one line for a row; numbers with all their digits."""

    delimiter = ","

    def __init__(self, path: Path) -> None:
        super().__init__(path)
        self._file = path.open("w", newline="", encoding="utf-8")
        self._writer = csv.writer(self._file, delimiter=self.delimiter, lineterminator="\n")
        self._names: list[str] = []

    def add(self, piece: Piece) -> None:
        if not self._names:
            self._names = list(piece)
            self._writer.writerow(self._names)
        self._writer.writerows(zip(*(column.tolist() for column in piece.values()), strict=True))

    def close(self) -> None:
        self._file.close()


class TsvTable(CsvTable):
    """Text, with tabs."""

    delimiter = "\t"


class ParquetTable(Table):
    """Parquet; a piece is a row group."""

    _writer: Any = None

    def add(self, piece: Piece) -> None:
        batch = _batch(piece)
        if self._writer is None:
            self._writer = self._open(batch.schema)
        self._writer.write_batch(batch)

    def _open(self, schema: Any) -> Any:
        from pyarrow.parquet import ParquetWriter

        return ParquetWriter(self.path, schema)

    def close(self) -> None:
        if self._writer is not None:
            self._writer.close()


class ArrowTable(ParquetTable):
    """Arrow's own file format, which is Feather's second version."""

    def _open(self, schema: Any) -> Any:
        from pyarrow import ipc

        return ipc.new_file(str(self.path), schema)


class NpzTable(Table):
    """NumPy's archive of arrays; it is written at the end, from memory."""

    def __init__(self, path: Path) -> None:
        super().__init__(path)
        self._pieces: list[Piece] = []

    def add(self, piece: Piece) -> None:
        self._pieces.append(piece)

    def close(self) -> None:
        names = list(self._pieces[0]) if self._pieces else []
        columns = {name: numpy.concatenate([piece[name] for piece in self._pieces]) for name in names}
        numpy.savez(self.path, **columns)  # type: ignore[arg-type]


TABLES: dict[str, type[Table]] = {
    ".csv": CsvTable,
    ".tsv": TsvTable,
    ".parquet": ParquetTable,
    ".arrow": ArrowTable,
    ".feather": ArrowTable,
    ".npz": NpzTable,
}


def check_table(path: Path) -> None:
    """Refuses a file name whose ending says nothing, and a kind that needs pyarrow where it is missing."""
    if path.suffix.lower() not in TABLES:
        refuse("--out", f"a file that ends in one of {', '.join(TABLES)}", path)
    if issubclass(TABLES[path.suffix.lower()], ParquetTable):
        pyarrow()


def write_table(path: Path, pieces: Iterable[Piece]) -> None:
    """Writes a table; the file appears complete or not at all."""
    check_table(path)
    with whole_file(path, "--out", wait=False) as temporary:
        table = TABLES[path.suffix.lower()](temporary)
        try:
            for piece in pieces:
                table.add({name: _array(column) for name, column in piece.items()})
        finally:
            table.close()


def _batch(piece: Piece) -> Any:
    return pyarrow().RecordBatch.from_pydict(dict(piece))


def _array(column: Any) -> numpy.ndarray:
    return column.detach().cpu().numpy() if isinstance(column, Tensor) else column
