"""Rows of a file, streamed: only the columns asked for, a few thousand rows at a time, so the file need not
fit in memory.

Gaps become NaN. Columns of integers and truth values become float64; float32 stays where every column asked
for has it.
"""

from __future__ import annotations

from abc import abstractmethod
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from functools import cached_property
from itertools import islice
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from mixtura.data import arrow
from mixtura.data.blocks import Block, Rows, TensorRows
from mixtura.data.dialect import Dialect, dialect_of, refuse_encoding
from mixtura.data.dtypes import common
from mixtura.data.names import choose
from mixtura.data.pieces import reblock
from mixtura.data.row_numbers import leave_out, numbering
from mixtura.data.weights import as_weight, check_weight, check_weights
from mixtura.errors import refuse

_SMALL = 2**20  # bytes

__all__ = ["ArrowRows", "CsvRows", "ParquetRows", "StreamedRows"]


class StreamedRows(Rows):
    """Rows that arrive as Arrow record batches. A new kind of file says what its schema is and how to read
    batches.

    Args:
        path: the file.
        columns: names of the columns, in order; one name (not in a list) makes each row a single number. All
            but the weight by default.
        weight: name of the column of weights, or one weight for each row.
        dtype: float32 or float64; by default float32 where all the columns are, else float64.
        device: where blocks are put; the CPU by default.

    Raises ValueError for a name that is not in the file, for a column that does not hold numbers, for weights
    that are negative, not finite or all zero, and for a file that cannot be read; ImportError without
    pyarrow.
    """

    def __init__(
        self,
        path: str | Path,
        columns: str | Sequence[str] | None = None,
        weight: object = None,
        dtype: torch.dtype | None = None,
        device: torch.device | str | None = None,
    ) -> None:
        self.path = Path(path)
        with arrow.reading(self.path):
            schema = self._schema()
        self.left_out = _numbering(schema) if columns is None else ()
        leave_out(self.left_out)
        choice = choose(schema.names, columns, weight, left_out=self.left_out)
        arrow.check_numbers(schema, choice.read, self._sample(choice.read))
        self._choice = choice
        self.columns = choice.names
        self.event_shape = torch.Size(() if choice.vector else (len(choice.names),))
        self.dtype = dtype or common(arrow.torch_dtype(schema.field(name).type) for name in choice.names)
        self.device = torch.device(device or "cpu")
        self._given = None if weight is None or choice.weight else self._check_given(as_weight(weight))
        if choice.weight:
            self._count, self.total_weight = check_weights(self.weights())

    @abstractmethod
    def _schema(self) -> Any:
        """The file's Arrow schema."""

    @abstractmethod
    def _batches(self, names: tuple[str, ...]) -> Iterator[Any]:
        """Record batches with at least the columns `names`, in the order of the rows."""

    @classmethod
    def names(cls, path: Path) -> tuple[str, ...]:
        """The names of all columns of the file, whatever they hold."""
        file = cls.__new__(cls)
        file.path = path
        with arrow.reading(path):
            return tuple(file._schema().names)

    @classmethod
    def numbering(cls, path: Path) -> tuple[str, ...]:
        """The names of the columns of the file that only number its rows."""
        file = cls.__new__(cls)
        file.path = path
        with arrow.reading(path):
            return _numbering(file._schema())

    @classmethod
    @abstractmethod
    def table(cls, path: Path, names: Sequence[str] | None = None) -> Any:
        """The whole file, or some of its columns, as a pyarrow Table, text columns included."""

    def _sample(self, names: tuple[str, ...]) -> Iterator[Any]:
        """The batch in which an example is looked for."""
        return islice(self._batches(names), 1)

    @cached_property
    def _count(self) -> int:
        return sum(batch.num_rows for batch in self._batches(self._choice.read[:1]))

    def __len__(self) -> int:
        return self._count

    @property
    def weighted(self) -> bool:
        return self._given is not None or self._choice.weight is not None

    @property
    def weight(self) -> Tensor | None:
        return torch.cat([*self.weights(), self._no_weights()]) if self._choice.weight else self._given

    def _check_given(self, weight: Tensor) -> Tensor:
        return check_weight(weight, len(self)).to(self.device, self.dtype)

    def _no_weights(self) -> Tensor:
        return torch.empty(0, dtype=self.dtype, device=self.device)

    def weights(self) -> Iterator[Tensor]:
        if self._choice.weight is None:
            return super().weights()
        return (self._column(batch, self._choice.weight) for batch in self._batches((self._choice.weight,)))

    def _column(self, batch: Any, name: str) -> Tensor:
        return arrow.to_tensor(batch, (name,), self.dtype)[:, 0].to(self.device)

    def _blocks(self, size: int) -> Iterator[Block]:
        blocks = reblock((self._piece(batch) for batch in self._batches(self._choice.read)), size)
        return blocks if self._given is None else _beside(blocks, self._given)

    def settled(self) -> Rows:
        """The rows in memory where the file is small: read once, they go the way of tables in memory."""
        if self.path.stat().st_size > _SMALL:
            return self
        rows = TensorRows(self.tensor(), self.weight, self.columns)
        rows.left_out = self.left_out
        return rows

    def _piece(self, batch: Any) -> Block:
        x = arrow.to_tensor(batch, self._choice.names, self.dtype).to(self.device)
        weight = self._column(batch, self._choice.weight) if self._choice.weight else None
        return Block(x.reshape(len(x), *self.event_shape), weight)

    def __repr__(self) -> str:
        names = ", ".join(self._choice.names)
        return f"{type(self).__name__}({str(self.path)!r}; columns: {names}; {self.dtype}, {self.device})"


def _numbering(schema: Any) -> tuple[str, ...]:
    """Columns that only number the rows: whole numbers without a name, as the file says or its beginning shows."""
    return numbering(schema.names, lambda name: arrow.pyarrow().types.is_integer(schema.field(name).type))


def _beside(blocks: Iterator[Block], weight: Tensor) -> Iterator[Block]:
    start = 0
    for block in blocks:
        yield Block(block.x, weight[start : start + len(block.x)])
        start += len(block.x)


class ParquetRows(StreamedRows):
    """Rows of a Parquet file; the number of rows comes from its metadata. Arguments as in `StreamedRows`."""

    @classmethod
    def table(cls, path: Path, names: Sequence[str] | None = None) -> Any:
        with cls._open(path) as file:
            return file.read(columns=names)

    @staticmethod
    def _open(path: Path) -> Any:
        arrow.pyarrow()
        from pyarrow.parquet import ParquetFile

        # A small buffer, and no reading ahead: otherwise whole row groups are held, compressed and not.
        return ParquetFile(path, buffer_size=2**20, pre_buffer=False)

    def _schema(self) -> Any:
        with self._open(self.path) as file:
            return file.schema_arrow

    @cached_property
    def _count(self) -> int:
        with arrow.reading(self.path), self._open(self.path) as file:
            return file.metadata.num_rows

    def _batches(self, names: tuple[str, ...]) -> Iterator[Any]:
        with arrow.reading(self.path), self._open(self.path) as file:
            yield from file.iter_batches(max(1, 2**17 // len(names)), columns=list(names))


class ArrowRows(StreamedRows):
    """Rows of an Arrow file, in its random-access form (also called Feather) or as a stream. Arguments as in
    `StreamedRows`."""

    @classmethod
    def table(cls, path: Path, names: Sequence[str] | None = None) -> Any:
        with _arrow_reader(path) as reader:
            whole = reader.read_all()
        whole.validate(full=True)
        return whole if names is None else whole.select(list(names))

    def _schema(self) -> Any:
        with _arrow_reader(self.path) as reader:
            return reader.schema

    def _batches(self, names: tuple[str, ...]) -> Iterator[Any]:
        included = [self._schema().get_field_index(name) for name in names]
        with arrow.reading(self.path), _arrow_reader(self.path, included_fields=included) as reader:
            random_access = hasattr(reader, "get_batch")
            batches = map(reader.get_batch, range(reader.num_record_batches)) if random_access else reader
            for batch in batches:
                batch.validate(full=True)  # a damaged file may point outside of itself
                yield batch


@contextmanager
def _arrow_reader(path: Path, **options: Any) -> Iterator[Any]:
    ipc = arrow.pyarrow().ipc
    opener = ipc.open_file if _is_arrow_file(path) else ipc.open_stream
    with (
        arrow.pyarrow().memory_map(str(path)) as source,
        opener(source, options=ipc.IpcReadOptions(**options)) as reader,
    ):
        yield reader


def _is_arrow_file(path: Path) -> bool:
    """Whether an Arrow file can be read in any order (a stream of record batches lacks this mark)."""
    with path.open("rb") as file:
        return file.read(6) == b"ARROW1"


class CsvRows(StreamedRows):
    """Rows of a text file with a line of column names, then values with a delimiter between; .gz is read as it is.

    The encoding is UTF-8, or what a mark at the top says; other delimiters and decimal commas are told from the first
    lines. Columns are taken for numbers by their first mebibyte; text that comes later is an error that quotes it.
    Empty cells and the usual marks (NA, NaN, null, ...) are NaN. The number of rows is counted once, when it
    is first asked for. Other arguments as in `StreamedRows`.
    """

    delimiter = ","

    @classmethod
    def table(cls, path: Path, names: Sequence[str] | None = None) -> Any:
        file = cls.__new__(cls)
        file.path = path
        with arrow.reading(path):
            found = _text().read_csv(path, **file._options({"include_columns": list(names or ())}))
        if any(arrow.pyarrow().types.is_binary(kind) for kind in found.schema.types):
            refuse_encoding(path)
        return found

    def _schema(self) -> Any:
        _check_header(self.path, self._dialect.names)
        with self._open({}) as reader:
            return reader.schema

    @cached_property
    def _dialect(self) -> Dialect:
        return dialect_of(self.path, self.delimiter)

    def _open(self, convert: dict[str, Any]) -> Any:
        return _text().open_csv(self.path, **self._options(convert))

    def _options(self, convert: dict[str, Any]) -> dict[str, Any]:
        text, written = _text(), self._dialect
        return {
            "read_options": text.ReadOptions(encoding=written.encoding.removesuffix("-sig")),
            "parse_options": text.ParseOptions(delimiter=written.delimiter, newlines_in_values=True),
            "convert_options": text.ConvertOptions(decimal_point=written.decimal, **convert),
        }

    def _sample(self, names: tuple[str, ...]) -> Iterator[Any]:
        with arrow.reading(self.path), self._open({"include_columns": list(names)}) as reader:
            yield from islice(reader, 1)

    def _batches(self, names: tuple[str, ...]) -> Iterator[Any]:
        with arrow.reading(self.path), self._open(self._numeric(names)) as reader:
            yield from reader

    def _numeric(self, names: tuple[str, ...]) -> dict[str, Any]:
        """Without types a column whose first mebibyte is whole numbers would refuse the first fraction after
        it."""
        types = {name: self._type(name) for name in names}
        return {"include_columns": list(names), "column_types": types}

    def _type(self, name: str) -> Any:
        found = self._inferred.field(name).type
        return found if arrow.pyarrow().types.is_boolean(found) else arrow.pyarrow().float64()

    @cached_property
    def _inferred(self) -> Any:
        return self._schema()


class TsvRows(CsvRows):
    """Rows of a text file whose values are separated by tabs. Arguments as in `StreamedRows`."""

    delimiter = "\t"


def _text() -> Any:
    """The part of pyarrow that reads text."""
    arrow.pyarrow()
    import pyarrow.csv

    return pyarrow.csv


def _check_header(path: Path, names: Sequence[str]) -> None:
    """Without names the first row would be lost in silence; numbers 0, 1, 2, ... are what pandas writes as
    names."""
    counted = [str(i) for i in range(len(names))]
    if names and list(names) != counted and all(_is_float(name) for name in names):
        came = f"numbers: {', '.join(names[:5])}"
        refuse(
            "x",
            f"a table whose first line names the columns ({path})",
            came,
            "Add a line of names at the top.",
        )


def _is_float(text: str) -> bool:
    try:
        float(text)
    except ValueError:
        return False
    return True
