"""How the rows of a file were observed: with errors where columns hold them, with gaps where cells are missing."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import torch
from torch import Tensor

from ..data import Block, Rows
from ..errors import refuse
from ..observation import AdditiveNoise, Missing, Observation
from .reading import read

__all__ = ["has_gaps", "observation_of", "told_of"]


def observation_of(
    rows: Rows, data: Path, columns: Sequence[str] | None, errors: Sequence[str] | None
) -> list[Observation]:
    """The observations behind a file's rows; none where every cell is there and no column holds errors.

    Raises:
        MixtureError: If there is not one column of errors for each of the columns, or an error is negative or missing
            where the value is not.
    """
    found: list[Observation] = []
    if errors is not None:
        found.append(AdditiveNoise(scale=_scales(rows, data, columns, errors), per_row=True))
    if has_gaps(rows):
        found.append(Missing())
    return found


def has_gaps(rows: Rows) -> bool:
    """Whether any cell is missing."""
    return any(bool(block.x.isnan().any()) for block in rows.blocks(rows.suggested_size))


def told_of(rows: Rows, errors: Sequence[str] | None) -> dict[str, str]:
    """What a report says about errors and gaps: nothing where there are none."""
    told = {"errors": f"standard deviations in {', '.join(errors)}"} if errors else {}
    gaps = sum(int(_values(block).isnan().any(-1).sum()) for block in rows.blocks(rows.suggested_size))
    if gaps:
        empty = sum(int(_values(block).isnan().all(-1).sum()) for block in rows.blocks(rows.suggested_size))
        nothing = f", {empty} of them in every cell" if empty else ""
        told["missing cells"] = f"in {gaps} of {len(rows)} rows{nothing}; each row counts with what it has"
    return told


def _values(block: Block) -> Tensor:
    return block.x.reshape(len(block.x), -1)


def _scales(rows: Rows, data: Path, columns: Sequence[str] | None, errors: Sequence[str]) -> Tensor:
    if columns is None:
        refuse("--columns", "given together with --errors, in the same order", "none")
    if len(columns) != len(errors):
        came = f"{len(errors)}: {', '.join(errors)}"
        refuse("--errors", f"one column for each of the {len(columns)} in --columns", came)
    values, scale = rows.tensor(), read(data, errors, dtype=rows.dtype).tensor()
    recorded = ~values.isnan()
    bad = recorded & ~((scale >= 0) & scale.isfinite())
    if bool(bad.any()):
        row = int(bad.reshape(len(bad), -1).any(-1).nonzero()[0])
        came = f"{scale[row].reshape(-1).tolist()} in row {row} (rows are counted from 0)"
        refuse("--errors", "standard deviations, zero or more, wherever there is a value", came)
    return torch.where(recorded, scale, 0.0)
