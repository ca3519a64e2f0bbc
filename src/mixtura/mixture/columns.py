"""Names of the columns, and rows that are found by them.

A mixture that was learned from a table knows its columns by name. What has names, too (a frame, an Arrow table, a
mapping, a file, `mixtura.data.Rows`) is then read by them: its columns may come in another order, and among others.
Tensors, arrays and lists have none, and are taken as they stand. A table is read block by block, so that a file need
not fit in memory.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING, Any, NoReturn

import torch
from torch import Tensor

from ..components.observation import Exact, Observation
from ..data import Rows, is_table
from ..data import rows as as_rows
from ..errors import NotClosedForm, refuse

if TYPE_CHECKING:
    from ..components.observation import Observation
    from .value import Mixture

__all__ = ["checked_names", "common", "each", "kept", "names_of", "positions", "recorded_of", "rows_of", "values_of"]


# -- rows


def each(mixture: Mixture, x: Any, function: Callable[[Tensor], Tensor]) -> Tensor:
    """A function of rows ``(*S, *B, *event)``, whatever holds them.

    A table is its rows ``(N, *event)``: those of a single mixture are read block by block, and those of a batch are
    its entries' own, one for each.
    """
    if not is_table(x):
        return function(_checked(mixture, x))
    rows = rows_of(mixture, x)
    if mixture.batch_shape or not len(rows):
        return function(_block(mixture, rows.tensor()))
    return rows.gather(lambda block: function(_block(mixture, block.x)))


def rows_of(
    mixture: Mixture,
    x: Any,
    columns: str | Sequence[str] | None = None,
    weight: Any = None,
    observation: Observation | None = None,
) -> Rows:
    """Data of any form as rows under the mixture: its own columns, found by name where both have names.

    Arguments:
        mixture: The mixture.
        x: The data, in any form that `fit` takes.
        columns: Which columns of a table stand for the mixture's, in its order; those of the same names by default.
        weight: How much each row counts.
        observation: What stands between a draw and its record, which may have other columns than the draw.

    Raises:
        MixtureError: If a column is absent, or the data have another number of columns.
    """
    through = Exact() if observation is None else observation
    wanted = names_of(mixture, x, through) if columns is None else columns
    rows = x if isinstance(x, Rows) else as_rows(x, wanted, weight)
    names = through.clean_columns(rows.columns)
    if columns is None and names and mixture.columns and names != mixture.columns:
        advice = "Give the data themselves, and they are found by name."
        refuse("x", f"rows of the columns {', '.join(mixture.columns)}", ", ".join(names), advice)
    if through.clean_features(rows.features) != mixture.event_shape.numel():
        _refuse_width(mixture, rows)
    return rows


def names_of(mixture: Mixture, x: Any, observation: Observation) -> tuple[str, ...] | str | None:
    """The mixture's names, by which to read a table recorded through an observation; none for what has its own."""
    return _wanted(mixture, observation) if is_table(x) and not isinstance(x, Rows) else None


def recorded_of(mixture: Mixture, x: Any, observation: Observation) -> Tensor:
    """What was recorded through an observation, ``(*S, *B, *event)``, whatever holds it."""
    if not is_table(x):
        return x
    found = rows_of(mixture, x, observation=observation).tensor()
    return found if mixture.event_shape else found.reshape(-1)


def _wanted(mixture: Mixture, through: Observation) -> tuple[str, ...] | str | None:
    """The mixture's columns, unless the observation mixes them; one name alone for a mixture on numbers."""
    names = through.clean_columns(mixture.columns)
    return names if names is None or mixture.event_shape else names[0]


def _refuse_width(mixture: Mixture, rows: Rows) -> NoReturn:
    names = f"{rows.features}" + (f": {', '.join(rows.columns)}" if rows.columns else "")
    advice = "Say which: columns=[...]." if mixture.columns is None else ""
    refuse("x", f"rows of {mixture.event_shape.numel()} columns, as the mixture has", names, advice)


def _block(mixture: Mixture, x: Tensor) -> Tensor:
    return x.to(mixture.device, mixture.dtype).reshape(-1, *mixture.event_shape)


def _checked(mixture: Mixture, x: Any) -> Tensor:
    x = x.to(mixture.dtype) if isinstance(x, Tensor) else torch.as_tensor(x, dtype=mixture.dtype, device=mixture.device)
    dims = len(mixture.event_shape)
    if x.shape[x.ndim - dims :] != mixture.event_shape or x.ndim < dims:
        refuse("x", f"rows with shape (..., {', '.join(map(str, mixture.event_shape))})", tuple(x.shape))
    return x


# -- names


def checked_names(mixture: Mixture, columns: Sequence[str] | None) -> tuple[str, ...] | None:
    """The names as a tuple; refused unless there is one for each column and no two are the same."""
    if columns is None:
        return None
    names, count = tuple(map(str, columns)), mixture.event_shape.numel()
    if isinstance(columns, str) or len(names) != count or len(set(names)) != count:
        refuse("columns", f"a list of {count} different names, one for each column", repr(columns))
    return names


def positions(mixture: Mixture, dims: Any) -> list[int]:
    """The coordinates that numbers or names stand for, from 0; refused unless they exist and differ."""
    if not mixture.event_shape:
        raise NotClosedForm("A mixture on numbers has no coordinates to choose from.")
    features = mixture.event_shape[0]
    listed = [dims] if isinstance(dims, (int, str)) else list(dims)
    chosen = [_position(mixture, one) if isinstance(one, str) else one for one in listed]
    if not all(-features <= d < features for d in chosen):
        refuse("dims", f"coordinates between 0 and {features - 1}", listed)
    chosen = [d % features for d in chosen]
    if len(set(chosen)) != len(chosen) or not chosen:
        refuse("dims", "different coordinates, at least one", listed)
    return chosen


def _position(mixture: Mixture, name: str) -> int:
    if mixture.columns is None:
        advice = "Name the columns first: mixture.named([...])."
        refuse("dims", "numbers, because the mixture does not know the names of its columns", repr(name), advice)
    if name not in mixture.columns:
        advice = f"The columns are: {', '.join(mixture.columns)}."
        refuse("dims", "names of columns", f"{name!r}, which is not one", advice)
    return mixture.columns.index(name)


def values_of(mixture: Mixture, known: Sequence[int], values: Any) -> Tensor:
    """Values of known coordinates ``(*S, *B, len(known))``, from a table by their names."""
    if is_table(values):
        values = as_rows(values, kept(mixture, known)).tensor().reshape(-1, len(known))
    return torch.as_tensor(values, dtype=mixture.dtype, device=mixture.device)


def kept(mixture: Mixture, dims: Sequence[int]) -> tuple[str, ...] | None:
    """The names of some coordinates, where there are names."""
    return None if mixture.columns is None else tuple(mixture.columns[d] for d in dims)


def common(mixture: Mixture, other: Mixture) -> tuple[str, ...] | None:
    """The names that two mixtures on the same columns have: those of either, the same where both have some."""
    if mixture.columns and other.columns and mixture.columns != other.columns:
        refuse("other", f"on the columns {', '.join(mixture.columns)}", ", ".join(other.columns))
    return mixture.columns or other.columns
