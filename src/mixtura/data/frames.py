"""Tables in memory: pandas, polars and Arrow tables, mappings and structured arrays, column by column.

A table is known by the library its type comes from, so none of these libraries is imported to find out.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from typing import Any

import numpy as np
import torch
from torch import Tensor

from mixtura.data import arrays, arrow, row_numbers
from mixtura.data.dtypes import common
from mixtura.data.names import first_text, refuse_text
from mixtura.errors import refuse

__all__ = ["columns_of", "is_series", "numbering", "numbers", "series_name", "side_by_side"]


def _is_one_of(x: object, library: str, names: tuple[str, ...]) -> bool:
    return any(kind.__module__.split(".")[0] == library and kind.__name__ in names for kind in type(x).__mro__)


def columns_of(x: Any) -> dict[str, Any] | None:
    """The columns of a table by name, not yet converted; None if `x` is no table. ValueError for a name that
    is there twice."""
    if isinstance(x, Mapping):
        return _named(x.items())
    if isinstance(x, np.ndarray) and x.dtype.names:
        return {name: x[name] for name in x.dtype.names}
    for library, names, columns in _FRAMES:
        if _is_one_of(x, library, names):
            return _named(columns(x))
    return None


_FRAMES: list[tuple[str, tuple[str, ...], Callable[[Any], Iterable[tuple[Any, Any]]]]] = [
    ("pandas", ("DataFrame",), lambda x: x.items()),
    ("polars", ("DataFrame",), lambda x: ((column.name, column) for column in x.get_columns())),
    ("pyarrow", ("Table", "RecordBatch"), lambda x: zip(x.column_names, x.columns, strict=True)),
]


def _named(columns: Iterable[tuple[Any, Any]]) -> dict[str, Any]:
    table: dict[str, Any] = {}
    for name, column in columns:
        if str(name) in table:
            refuse("x", "a table whose column names differ", f"{str(name)!r} twice", "Rename one of them.")
        table[str(name)] = column
    return table


def numbering(table: Mapping[str, Any]) -> tuple[str, ...]:
    """The columns of a table that only number its rows."""
    return row_numbers.numbering(list(table), lambda name: _is_whole(table[name]))


def _is_whole(column: Any) -> bool:
    values = numbers(column)
    return values is not None and bool((values == values.round()).all())


def series_name(x: Any) -> str | None:
    """The name of a single column of a table (a pandas or polars series), None where it has none."""
    name = getattr(x, "name", None) if is_series(x) else None
    return str(name) if name else None


def is_series(x: Any) -> bool:
    """Whether `x` is a single column of a pandas or polars frame, or of an Arrow table."""
    return numbers_by(x) is not _from_sequence


def side_by_side(table: Mapping[str, Any], names: Sequence[str], dtype: torch.dtype | None) -> Tensor:
    """The columns `names` as one tensor (N, D); ValueError where one is not numeric or they differ in
    length."""
    columns = [_column(table, name, names) for name in names]
    lengths = {name: len(column) for name, column in zip(names, columns, strict=True)}
    if len(set(lengths.values())) > 1:
        refuse("x", "a table whose columns have one length", lengths)
    dtype = dtype or common(column.dtype for column in columns)
    return torch.stack([column.to(dtype) for column in columns], dim=1)


def _column(table: Mapping[str, Any], name: str, names: Sequence[str]) -> Tensor:
    column = numbers(table[name])
    if column is None:
        example = first_text(getattr(table[name], "to_pylist", lambda: table[name])())
        numeric = [other for other in table if numbers(table[other]) is not None]
        text = [name, *(other for other in names if other not in numeric and other != name)]
        refuse_text(_in_words(example), example, text, [other for other in names if other in numeric] or numeric)
    if column.ndim != 1:
        refuse("x", f"one number a row in column {name!r}", f"shape {tuple(column.shape)}")
    return column


def _in_words(example: object) -> str:
    return "text" if isinstance(example, str) else f"{type(example).__name__} values"


def numbers(column: Any) -> Tensor | None:
    """A column as a tensor with NaN for its gaps, or None where it does not hold numbers."""
    return column if isinstance(column, Tensor) else numbers_by(column)(column)


def numbers_by(column: Any) -> Callable[[Any], Tensor | None]:
    """The conversion for the library the column comes from."""
    for library, names, convert in _SERIES:
        if _is_one_of(column, library, names):
            return convert
    return _from_sequence


def _from_pandas(column: Any) -> Tensor | None:
    if column.dtype.kind not in "biuf":
        return None if column.dtype != object else _from_sequence(column)
    narrow = column.dtype.kind == "f" and column.dtype.itemsize <= 4
    return torch.from_numpy(np.array(column.to_numpy(dtype="float32" if narrow else "float64", na_value=np.nan)))


def _from_polars(column: Any) -> Tensor | None:
    import polars

    if not (column.dtype.is_numeric() or column.dtype in (polars.Boolean, polars.Null)):
        return None
    narrow = column.dtype == polars.Float32
    return torch.from_numpy(np.array(column.cast(polars.Float32 if narrow else polars.Float64).to_numpy()))


def _from_arrow(column: Any) -> Tensor | None:
    return (
        arrow.column_tensor(column, common([arrow.torch_dtype(column.type)])) if arrow.is_number(column.type) else None
    )


def _from_sequence(column: Any) -> Tensor | None:
    """Numbers and gaps (None) in a list or an array; digits in quotes are text."""
    array = np.asarray(column)
    if array.dtype == object and all(value is None or isinstance(value, int | float) for value in array.flat):
        array = array.astype(np.float64)
    if array.dtype.kind not in "biuf":
        return None
    return arrays.to_tensor(array)


_SERIES: list[tuple[str, tuple[str, ...], Callable[[Any], Tensor | None]]] = [
    ("pandas", ("Series",), _from_pandas),
    ("polars", ("Series",), _from_polars),
    ("pyarrow", ("ChunkedArray", "Array"), _from_arrow),
]
