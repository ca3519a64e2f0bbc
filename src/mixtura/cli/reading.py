"""Reading data for a command: by the columns asked for, or by those a model remembers, and as they were recorded."""

from __future__ import annotations

import warnings
from collections.abc import Sequence
from contextlib import suppress
from pathlib import Path
from typing import NamedTuple

import torch

from ..data import Rows, TextColumns, arrow, check_finite, column_names, names_but
from ..data import rows as as_rows
from ..errors import MixtureError, refuse
from ..mixture import Mixture, read_model
from ..observation import Observation
from ..observation.recording import Plain, Recording
from .errors_of import scales
from .options import joined

__all__ = ["Reading", "chosen", "read", "read_for", "seen"]


class Reading(NamedTuple):
    """A model and the rows it is applied to, and the names of the columns of errors where there are some."""

    mixture: Mixture
    rows: Rows
    errors: Sequence[str] | None


def read(
    data: Path, columns: Sequence[str] | None, weight: str | None = None, dtype: torch.dtype | None = None
) -> Rows:
    """The rows of a file; one named column gives single numbers."""
    single = columns[0] if columns is not None and len(columns) == 1 else columns
    _heed_interrupts()
    try:
        with warnings.catch_warnings(action="ignore", category=UserWarning):  # a command says what was left out
            return as_rows(data, single, weight, dtype=dtype)
    except TypeError as error:
        raise MixtureError(str(error)) from error
    except TextColumns as error:
        numeric = f" or choose others: --columns {joined(error.numeric)}"
        left = f"Leave out what is no number: --drop {joined(error.text)},{numeric}."
        raise MixtureError(f"{error.complaint} {left if error.numeric else 'No column holds numbers.'}") from error


def _heed_interrupts() -> None:
    """Ctrl-C is heard while pyarrow reads, too: by itself it would swallow it where the reading is soon done."""
    with suppress(ImportError):
        arrow.pyarrow().enable_signal_handlers(False)


def chosen(
    data: Path, columns: Sequence[str] | None, drop: Sequence[str] | None, apart: Sequence[str]
) -> Sequence[str] | None:
    """The columns that are left of those asked for, or of all but those apart; none where nothing is dropped.

    Arguments:
        data: The file.
        columns: The columns asked for.
        drop: The columns to leave out.
        apart: Columns that hold something else, such as weights and errors.
    """
    if drop is None:
        return columns
    known = column_names(data)
    absent = [name for name in drop if name not in known]
    if absent:
        refuse("--drop", f"names of columns: {joined(known)}", joined(absent))
    every = names_but(data, apart) if columns is None else columns
    left = [name for name in every or () if name not in drop]
    if not left:
        refuse("--drop", "some of the columns", "all of them")
    return left


def seen(rows: Rows, observation: Observation | None) -> Rows:
    """The rows with how they were observed."""
    return rows if observation is None else rows.through(observation)


def read_for(model: Path, data: Path, columns: Sequence[str] | None, errors: Sequence[str] | None) -> Reading:
    """A model and the rows it is to be applied to, in its precision, recorded as those it was learned from.

    Raises:
        MixtureError: If the model needs errors and there are none, or values are missing where it knows no gaps.
    """
    mixture, kept = read_model(model)
    if mixture.batch_shape:
        refuse("MODEL", "one mixture", f"batch shape {tuple(mixture.batch_shape)}", "Save one: mixture.batch(0).")
    recording: Recording = kept or Plain()
    names = columns or recording.columns or mixture.columns
    rows = read(data, names, dtype=mixture.dtype)
    features = recording.features(mixture.components)
    if rows.features != features:
        refuse("--columns", f"the {features} columns that the model describes, in its order", rows.features)
    errors = errors or recording.errors
    scale = None if errors is None else scales(rows, data, errors, remembered=recording.errors)
    observation = recording.observation(scale)
    if not recording.gaps:
        check_finite(rows)
    return Reading(mixture, seen(rows, observation), errors)
