"""How the rows of a file were observed: with errors where columns hold them, with gaps where cells are missing."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import torch
from torch import Tensor

from ..data import Rows, row_numbers
from ..data import rows as as_rows
from ..errors import MixtureError, refuse
from ..observation import Observation
from ..observation.recording import Plain
from .options import joined

__all__ = ["has_gaps", "observation_of", "scales", "told_of"]


def observation_of(
    rows: Rows, data: Path, columns: Sequence[str] | None, errors: Sequence[str] | None
) -> Observation | None:
    """What stands between the values and a file's rows; none where every cell is there and no column holds errors.

    Raises:
        MixtureError: If there is not one column of errors for each of the columns, or an error is negative or missing
            where the value is not.
    """
    if errors is not None and columns is None:
        refuse("--columns", "given together with --errors, in the same order", "none")
    scale = None if errors is None else scales(rows, data, errors)
    return Plain(has_gaps(rows)).observation(scale)


def has_gaps(rows: Rows) -> bool:
    """Whether any cell is missing."""
    return bool(rows.reduce(lambda block: block.x.isnan().any()))


def told_of(rows: Rows, errors: Sequence[str] | None) -> dict[str, str]:
    """What a report says about columns left out, errors and gaps: nothing where there are none."""
    told = {"left out": row_numbers.told(rows.left_out)} if rows.left_out else {}
    if errors:
        told["errors"] = f"standard deviations in {', '.join(errors)}"
    gaps = int(rows.reduce(lambda block: block.vectors.isnan().any(-1).sum()))
    if gaps:
        empty = int(rows.reduce(lambda block: block.vectors.isnan().all(-1).sum()))
        nothing = f", {empty} of them in every cell" if empty else ""
        told["missing cells"] = f"in {gaps} of {len(rows)} rows{nothing}; each row counts with what it has"
    return told


def scales(rows: Rows, data: Path, errors: Sequence[str], remembered: Sequence[str] | None = None) -> Tensor:
    """The standard deviations of the errors of the rows, from a file's columns; 0 where there is no value.

    Arguments:
        rows: The rows.
        data: The file.
        errors: The columns that hold the errors, in the order of the rows' columns.
        remembered: Those that the model was learned with, for a message that names them.
    """
    if rows.features != len(errors):
        refuse(
            "--errors", f"one column for each of the {rows.features} in --columns", f"{len(errors)}: {joined(errors)}"
        )
    scale = _read(rows, data, errors, remembered)
    recorded = ~rows.tensor().isnan()
    bad = recorded & ~((scale >= 0) & scale.isfinite())
    if bool(bad.any()):
        row = int(bad.reshape(len(bad), -1).any(-1).nonzero()[0])
        came = f"{scale[row].reshape(-1).tolist()} in row {row} (rows are counted from 0)"
        refuse("--errors", "standard deviations, zero or more, wherever there is a value", came)
    return torch.where(recorded, scale, 0.0)


def _read(rows: Rows, data: Path, errors: Sequence[str], remembered: Sequence[str] | None) -> Tensor:
    try:
        return as_rows(data, list(errors), dtype=rows.dtype).tensor().reshape(-1, *rows.event_shape)
    except MixtureError as error:
        said = str(error).replace("`columns`", "--errors")
        advice = f" The model was learned with errors in {joined(remembered)}." if remembered else ""
        raise MixtureError(said + advice) from error
