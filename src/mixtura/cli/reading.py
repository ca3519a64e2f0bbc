"""Reading data for a command: by the columns asked for, or by those a model remembers."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import torch

from ..data import Rows, check_finite
from ..data import rows as as_rows
from ..errors import MixtureError, refuse
from ..mixture import Mixture, load

__all__ = ["read", "read_for"]


def read(
    data: Path, columns: Sequence[str] | None, weight: str | None = None, dtype: torch.dtype | None = None
) -> Rows:
    """The rows of a file; one named column gives single numbers."""
    single = columns[0] if columns is not None and len(columns) == 1 else columns
    try:
        return as_rows(data, single, weight, dtype=dtype)
    except TypeError as error:
        raise MixtureError(str(error)) from error


def read_for(model: Path, data: Path, columns: Sequence[str] | None) -> tuple[Mixture, Rows]:
    """A model and the rows it is to be applied to, in its precision; every value is finite."""
    mixture = load(model)
    if mixture.batch_shape:
        refuse("MODEL", "one mixture", f"batch shape {tuple(mixture.batch_shape)}", "Save one: mixture.batch(0).")
    names = columns or mixture.columns
    rows = read(data, names, dtype=mixture.dtype)
    features = mixture.event_shape.numel()
    if rows.features != features:
        refuse("--columns", f"the {features} columns that the model describes, in its order", rows.features)
    check_finite(rows)
    return mixture, rows
