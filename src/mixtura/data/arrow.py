"""Between pyarrow and torch. pyarrow is an extra, so it is imported where it is needed and asked for by
name."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from contextlib import contextmanager
from gzip import BadGzipFile
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import Tensor

from mixtura.data.dialect import refuse_encoding
from mixtura.data.names import first_text, refuse_text
from mixtura.errors import MixtureError

__all__ = ["check_numbers", "column_tensor", "is_number", "pyarrow", "reading", "to_tensor", "torch_dtype"]


def pyarrow() -> Any:
    """The pyarrow package; ImportError that says how to get it where it is missing."""
    try:
        import pyarrow
    except ImportError as error:
        raise ImportError(
            "reading tables and files needs pyarrow, which is not installed; pip install 'mixtura[files]'"
        ) from error
    return pyarrow


@contextmanager
def reading(path: Path) -> Iterator[None]:
    """Turns pyarrow's complaint about a file into a ValueError that names the file."""
    try:
        yield
    except UnicodeDecodeError:
        refuse_encoding(path)
    except (pyarrow().ArrowException, BadGzipFile, EOFError, OSError) as error:
        if "UTF8" in str(error) or "\ufffd" in str(error):
            refuse_encoding(path)
        raise MixtureError(f"`x` must be a file that can be read; got {path}, where {error}") from error


def torch_dtype(kind: Any) -> torch.dtype:
    """float16 and float32 as they are; everything else is worked with as float64."""
    types = pyarrow().types
    if types.is_float16(kind):
        return torch.float16
    return torch.float32 if types.is_float32(kind) else torch.float64


def is_number(kind: Any) -> bool:
    """Whether an Arrow type holds numbers, truth values or nothing but gaps."""
    types = pyarrow().types
    tests = (types.is_integer, types.is_floating, types.is_boolean, types.is_decimal, types.is_null)
    return any(test(kind) for test in tests)


def check_numbers(schema: Any, names: Iterable[str], batches: Iterable[Any]) -> None:
    """Raises ValueError for the first of the columns `names` that is not numeric, with an example from
    `batches`."""
    names = list(names)
    numeric = [name for name in names if is_number(schema.field(name).type)]
    text = [name for name in names if name not in numeric]
    if text:
        example = first_text(value for batch in batches for value in batch.column(text[0]).to_pylist())
        others = [field.name for field in schema if is_number(field.type)]
        refuse_text(_in_words(schema.field(text[0]).type), example, text, numeric or others)


def _in_words(kind: Any) -> str:
    types = pyarrow().types
    texts = (types.is_string, types.is_large_string, types.is_string_view, types.is_dictionary)
    return "text" if any(test(kind) for test in texts) else f"{kind} values"


def to_tensor(batch: Any, names: Sequence[str], dtype: torch.dtype) -> Tensor:
    """The columns `names` of a record batch or table side by side, (n, D); gaps become NaN."""
    x = torch.empty((batch.num_rows, len(names)), dtype=dtype)
    for j, name in enumerate(names):
        x[:, j] = column_tensor(batch.column(name), dtype)
    return x


def column_tensor(column: Any, dtype: torch.dtype) -> Tensor:
    """One numeric column as a tensor (n,) of its own; gaps become NaN."""
    kind = pyarrow().float32() if dtype == torch.float32 else pyarrow().float64()
    found = column.cast(kind, safe=False)
    found = found.fill_null(float("nan")) if found.null_count else found
    whole = getattr(found, "combine_chunks", lambda: found)()
    return torch.from_numpy(np.array(np.from_dlpack(whole)))  # `to_numpy` would import pandas
