"""One way in: `rows` takes whatever holds the numbers and returns `Rows`."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import Tensor

from mixtura.data import arrow, frames
from mixtura.data.arrays import ArrayRows, check_numeric, to_tensor
from mixtura.data.blocks import Rows, TensorRows
from mixtura.data.dtypes import check_dtype, floating
from mixtura.data.files import ArrowRows, CsvRows, ParquetRows, TsvRows
from mixtura.data.frames import columns_of, is_series, numbers, series_name, side_by_side
from mixtura.data.names import choose
from mixtura.data.numpy_files import array_names, arrays_of, mapped
from mixtura.data.row_numbers import leave_out
from mixtura.data.weights import as_weight
from mixtura.errors import MixtureError, refuse

__all__ = ["column_names", "is_table", "names_but", "read", "read_column", "read_table", "rows"]


def rows(
    x: Any,
    columns: str | Sequence[str] | None = None,
    weight: Any = None,
    *,
    dtype: torch.dtype | None = None,
    device: torch.device | str | None = None,
) -> Rows:
    """Rows of a tensor, an array, lists, a frame or a file, ready to be gone through in blocks.

    Tensors and float arrays in memory are used where they are; memory-mapped arrays and files stay on disk.

    Args:
        x: N numbers, (N,), or a table, (N, D): a tensor, a NumPy array, lists, a pandas or polars frame or
            series, an Arrow table, a mapping from names to columns, or the path of a .csv, .tsv, .parquet,
            .arrow, .feather, .npy or .npz file. Rows are returned as they are.
        columns: which columns of a table or file, in order; all but the weight by default. One name by itself
            (not in a list) makes each row a single number. For a plain tensor or array, names for its
            columns.
        weight: how much each row counts: N numbers, zero or more, or the name of a column.
        dtype: torch.float32 or torch.float64. By default float32 and float64 are kept, half precision becomes
            float32 and whole numbers and truth values float64.
        device: where blocks are put. By default a tensor's own device, and the CPU for everything else.

    Raises:
        ValueError: a column does not exist, does not hold numbers or is there twice; x has another shape;
            weights are negative, not finite, all zero or not one for each row; a file is damaged or of an
            unknown kind (a `MixtureError`).
        TypeError: x or weight is something else.
        FileNotFoundError: there is no such file.
        ImportError: a file needs pyarrow, which is not installed.

    Gaps are read as NaN and are not refused here: see `check_finite`. A first column that has no name and holds whole
    numbers is the index of a frame, in a file or as it comes back from one ("Unnamed: 0"): unless it is asked for it is
    left out, with a warning, and `left_out` names it.

    Example:
        >>> table = rows({"a": [1, 2, 3], "b": [0.5, 0.25, None]})
        >>> table.columns, len(table), table.dtype
        (('a', 'b'), 3, torch.float64)
        >>> rows({"a": [1, 2, 3], "n": [2, 0, 1]}, columns="a", weight="n").total_weight
        3.0
    """
    check_dtype(dtype)
    if isinstance(x, Rows):
        return _as_they_are(x, columns, weight, dtype, device)
    if isinstance(x, str | Path):
        return read(x, columns, weight, dtype=dtype, device=device)
    table = columns_of(x)
    if table is not None:
        return _from_table(table, columns, weight, dtype, device)
    return _from_array(x, columns, weight, dtype, device)


def is_table(x: Any) -> bool:
    """Whether `x` holds rows that may have names: a frame, a series, a mapping, the path of a file, or `Rows`.

    Example:
        >>> is_table({"a": [1, 2]}), is_table("data.csv"), is_table([1.0, 2.0])
        (True, True, False)
    """
    if isinstance(x, Tensor):
        return False
    return isinstance(x, str | Path | Rows) or is_series(x) or columns_of(x) is not None


def _as_they_are(x: Rows, *others: object) -> Rows:
    if any(other is not None for other in others):
        came = "Rows, which have theirs"
        refuse(
            "x",
            "data where columns, weight, dtype or device are given",
            came,
            "Give them where the Rows are made.",
        )
    return x


def _from_table(
    table: Mapping[str, Any],
    columns: str | Sequence[str] | None,
    weight: Any,
    dtype: torch.dtype | None,
    device: torch.device | str | None,
) -> Rows:
    left_out = frames.numbering(table) if columns is None else ()
    leave_out(left_out)
    choice = choose(list(table), columns, weight, left_out=left_out)
    x = side_by_side(table, choice.names, dtype).to(device)
    if choice.weight:
        weight = side_by_side(table, (choice.weight,), torch.float64)[:, 0]
    rows = _in_memory(x[:, 0] if choice.vector else x, weight, choice.names)
    rows.left_out = left_out
    return rows


def _from_array(
    x: Any,
    columns: str | Sequence[str] | None,
    weight: Any,
    dtype: torch.dtype | None,
    device: torch.device | str | None,
) -> Rows:
    names = (columns,) if isinstance(columns, str) else None if columns is None else tuple(columns)
    if isinstance(weight, str):
        refuse("weight", "numbers, because x has no named columns", repr(weight), "Pass the weights themselves.")
    if isinstance(x, np.memmap):
        return ArrayRows(x, None if weight is None else as_weight(weight), names, dtype, device)
    x, name = _as_tensor(x), series_name(x)
    x = x.to(device=device, dtype=dtype or floating(x.dtype))
    return _in_memory(x, weight, names or ((name,) if name else None))


def _in_memory(x: Tensor, weight: Any, names: tuple[str, ...] | None) -> TensorRows:
    return TensorRows(x, None if weight is None else as_weight(weight), names)


def _as_tensor(x: Any) -> Tensor:
    if isinstance(x, np.ndarray):
        check_numeric(x)
        return to_tensor(x)
    if not isinstance(x, Tensor | Sequence) and series_name(x) is None and not hasattr(x, "__array__"):
        raise TypeError(f"`x` must be a tensor, an array, lists, a frame or a path; got {type(x).__name__}.")
    return _converted(x)


def _converted(x: Any) -> Tensor:
    try:
        tensor = numbers(x)
    except ValueError as error:
        raise MixtureError(f"`x` must be rows of one length; got lists that differ ({error}).") from error
    if tensor is None:
        check_numeric(np.asarray(x))
        raise TypeError(f"`x` must be numbers; got {type(x).__name__}.")
    return tensor


def read(
    path: str | Path,
    columns: str | Sequence[str] | None = None,
    weight: Any = None,
    *,
    dtype: torch.dtype | None = None,
    device: torch.device | str | None = None,
) -> Rows:
    """Rows of a file: .csv, .tsv (also .gz), .parquet, .arrow, .feather, .npy or .npz. Arguments and errors
    as in `rows`.

    An .npz file is a table of named arrays: `columns` names one array (N,) or (N, D), or several of shape
    (N,).

    Example:
        >>> from mixtura import datasets
        >>> read(datasets.path("old_faithful"), columns="waiting").event_shape
        torch.Size([])
    """
    path = Path(path).expanduser()
    check_dtype(dtype)
    return _reader(path, _ROWS)(path, columns, weight, dtype, device).settled()


def _reader(path: Path, readers: Mapping[str, Callable[..., Any]]) -> Callable[..., Any]:
    if not path.is_file():
        raise FileNotFoundError(f"`x` must be a file that exists; got {path}.")
    suffix = Path(path.stem if path.suffix == ".gz" else path.name).suffix.lower()
    if suffix not in readers:
        refuse("x", f"a file that ends in one of {', '.join(readers)}", path)
    return readers[suffix]


def _npy(path: Path, columns: Any, weight: Any, dtype: torch.dtype | None, device: Any) -> Rows:
    return rows(mapped(path), columns, weight, dtype=dtype, device=device)


def _npz(path: Path, columns: Any, weight: Any, dtype: torch.dtype | None, device: Any) -> Rows:
    arrays = arrays_of(path)
    weight = arrays.pop(weight, weight) if isinstance(weight, str) else weight
    if len(arrays) == 1 and (columns is None or set(_listed(columns)) != set(arrays)):
        return _from_array(next(iter(arrays.values())), columns, weight, dtype, device)
    if columns is None:
        shapes = ", ".join(f"{name} {array.shape}" for name, array in arrays.items())
        refuse("columns", f"given, because {path} holds several arrays", "none", f"Choose from {shapes}.")
    names = choose(list(arrays), columns, weight).names
    if len(names) == 1 and (isinstance(columns, str) or arrays[names[0]].ndim > 1):
        return _from_array(arrays[names[0]], None, weight, dtype, device)
    return _from_table(arrays, columns, weight, dtype, device)


def _listed(columns: str | Sequence[str]) -> tuple[str, ...]:
    return (columns,) if isinstance(columns, str) else tuple(columns)


_ROWS: dict[str, Callable[..., Rows]] = {
    ".csv": CsvRows,
    ".tsv": TsvRows,
    ".parquet": ParquetRows,
    ".arrow": ArrowRows,
    ".feather": ArrowRows,
    ".npy": _npy,
    ".npz": _npz,
}


def column_names(path: str | Path) -> tuple[str, ...]:
    """The names of all columns of a file, whatever they hold; of the arrays, for an .npz file. Errors as `read`.

    Raises ValueError also for an .npy file, whose columns have no names.

    Example:
        >>> from mixtura import datasets
        >>> column_names(datasets.path("penguins"))[:3]
        ('species', 'island', 'bill_length_mm')
    """
    path = Path(path).expanduser()
    return _reader(path, _NAMES)(path)


def names_but(x: Any, apart: Sequence[str]) -> tuple[str, ...] | None:
    """The names of all columns of a table or file but those that hold something else; None where none have names.

    A first column without a name that numbers the rows is no feature, either: see `rows`.

    Arguments:
        x: Data in any form that `rows` takes.
        apart: Names of columns that are not features, such as those of weights and groups.

    Raises:
        MixtureError: If no column is left.

    Example:
        >>> from mixtura.data import names_but
        >>> names_but({"gene": ["a", "b"], "level": [1.0, 2.0]}, ["gene"])
        ('level',)
    """
    names = _names(x)
    if names is None:
        return None
    left = tuple(name for name in names if name not in (*apart, *_numbering(x)))
    if not left:
        refuse("x", f"a table with columns beside {', '.join(apart)}", "none")
    return left


def _names(x: Any) -> tuple[str, ...] | None:
    if isinstance(x, str | Path):
        return None if Path(x).suffix.lower() == ".npy" else column_names(x)
    table = None if isinstance(x, Tensor | Rows) else columns_of(x)
    return None if table is None else tuple(table)


def _numbering(x: Any) -> tuple[str, ...]:
    """Columns of a table or file that only number the rows."""
    if isinstance(x, str | Path):
        path = Path(x).expanduser()
        return _reader(path, _NUMBERING)(path)
    return frames.numbering(columns_of(x) or {})


_NAMES: dict[str, Callable[[Path], tuple[str, ...]]] = {
    ".csv": CsvRows.names,
    ".tsv": TsvRows.names,
    ".parquet": ParquetRows.names,
    ".arrow": ArrowRows.names,
    ".feather": ArrowRows.names,
    ".npz": array_names,
}


_NUMBERING: dict[str, Callable[[Path], tuple[str, ...]]] = {
    ".csv": CsvRows.numbering,
    ".tsv": TsvRows.numbering,
    ".parquet": ParquetRows.numbering,
    ".arrow": ArrowRows.numbering,
    ".feather": ArrowRows.numbering,
    ".npz": lambda path: (),
}


def read_column(path: str | Path, name: str) -> Any:
    """One column of a file, whatever it holds: of a .npz file the array of that name, else a pyarrow column.

    Raises ValueError for a name that is absent or there twice, or an .npy file, whose columns have none; others as
    `read`.

    Example:
        >>> from mixtura import datasets
        >>> from mixtura.data.reading import read_column
        >>> read_column(datasets.path("penguins"), "species")[0].as_py()
        'Adelie'
    """
    path = Path(path).expanduser()
    choose(column_names(path), (name,), None, "groups")
    return _reader(path, _COLUMNS)(path, name)


def _npz_column(path: Path, name: str) -> Any:
    return arrays_of(path)[name]


def _table_column(source: Callable[..., Any]) -> Callable[[Path, str], Any]:
    def column(path: Path, name: str) -> Any:
        with arrow.reading(path):
            column = source(path, [name]).column(0)
            column.validate(full=True)
        return column

    return column


def read_table(path: str | Path) -> Any:
    """A whole .csv, .tsv, .parquet, .arrow or .feather file as a pyarrow Table, text columns included.

    Raises ValueError for another or a damaged file, FileNotFoundError where there is none, ImportError
    without pyarrow.

    Example:
        >>> from mixtura import datasets
        >>> read_table(datasets.path("penguins")).num_rows
        344
    """
    path = Path(path).expanduser()
    source = _reader(path, _TABLES)
    with arrow.reading(path):
        return source(path)


_TABLES: dict[str, Callable[..., Any]] = {
    ".csv": CsvRows.table,
    ".tsv": TsvRows.table,
    ".parquet": ParquetRows.table,
    ".arrow": ArrowRows.table,
    ".feather": ArrowRows.table,
}

_COLUMNS: dict[str, Callable[[Path, str], Any]] = {
    **{ending: _table_column(source) for ending, source in _TABLES.items()},
    ".npz": _npz_column,
}
