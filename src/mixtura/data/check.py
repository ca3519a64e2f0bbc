"""Whether rows can be learned from at all, and if not, which rows and columns are to blame."""

from __future__ import annotations

import torch
from torch import Tensor

from mixtura.data.blocks import Rows
from mixtura.data.faults import Entry
from mixtura.data.moments import Summary, summary
from mixtura.errors import refuse

__all__ = ["check_data", "check_finite", "check_large", "check_rows", "check_spread"]

_RESCALE = "Rescale it, for example by another unit."
_GAPS = (
    "Rows are counted from 0. Drop or fill these rows, or fit with observation=mixtura.observation.Missing() where NaN "
    "stands for what was not recorded."
)


def check_data(rows: Rows, components: int = 1, spread: bool = True) -> Summary:
    """The summary of the rows, after all checks: enough rows, every number finite, every column with a usable
    spread.

    One pass where all is well. With `spread` off a column may be constant. Raises ValueError as `check_rows`,
    `check_finite` and `check_spread` do.

    Example:
        >>> from mixtura.data import rows
        >>> check_data(rows([1.0, 2.0, 6.0])).count
        3
    """
    found = summary(rows)
    _check_count(rows, found.count, components)
    if not found.mean.isfinite().all():
        check_finite(rows)
    if spread:
        return check_spread(rows, found)
    check_large(rows, found.count, found.minimum, found.maximum)
    return found


def check_rows(rows: Rows, components: int = 1) -> None:
    """Raises ValueError for no rows at all, and for fewer rows of positive weight than components.

    Example:
        >>> from mixtura.data import rows
        >>> check_rows(rows([1.0, 2.0]), components=3)
        Traceback (most recent call last):
        ...
        mixtura.errors.MixtureError: `components` must be at most the number of rows, 2; got 3. Ask for ...
    """
    count = sum(int((weight > 0).sum()) for weight in rows.weights()) if rows.weighted else len(rows)
    _check_count(rows, count, components)


def _check_count(rows: Rows, count: int, components: int) -> None:
    """Weights are never all zero, so no row counts only where there is none."""
    if not count:
        refuse("x", "at least one row", "none", "Is the table empty, or did a filter drop every row?")
    if count < components:
        kind = "rows of positive weight" if rows.weighted else "rows"
        refuse(
            "components",
            f"at most the number of {kind}, {count}",
            components,
            "Ask for fewer or give more rows.",
        )


def check_finite(rows: Rows) -> None:
    """Raises ValueError that counts the entries that are NaN or infinite and says where the first few are.

    Example:
        >>> from mixtura.data import rows
        >>> check_finite(rows({"a": [1.0, 2.0], "b": [3.0, None]}))
        Traceback (most recent call last):
        ...
        mixtura.errors.MixtureError: `x` must be finite; got 1 of 4 values that are not (row 1, ...
    """
    found = rows.faults(lambda x: ~x.isfinite())
    if found.count:
        places = "; ".join(_place(rows, entry) for entry in found.first)
        came = f"{found.count} of {len(rows) * rows.features} values that are not ({places}{found.more})"
        refuse("x", "finite", came, _GAPS)


def _place(rows: Rows, entry: Entry) -> str:
    column = f", column {rows.named(entry.column)}" if rows.event_shape else ""
    return f"row {entry.row}{column}: {entry.value}"


def check_spread(rows: Rows, found: Summary | None = None) -> Summary:
    """The summary of the rows; ValueError where no density can be fitted to their spread.

    That is: all rows are equal; a column is constant; values are so large that their squares overflow in the
    rows' dtype, or differ so little that their squares vanish in it.

    Example:
        >>> from mixtura.data import rows
        >>> check_spread(rows({"a": [1, 2], "b": [7, 7]}))
        Traceback (most recent call last):
        ...
        mixtura.errors.MixtureError: `x` must be varied in every column; got column 'b' with 7.0 in ...
    """
    found = found or summary(rows)
    _check_count(rows, found.count, 1)
    check_large(rows, found.count, found.minimum, found.maximum)
    _check_constant(rows, found)
    _check_small(rows, found)
    return found


def check_large(rows: Rows, count: int, low: Tensor, high: Tensor) -> None:
    """Raises ValueError where squares of differences, at most 4 max x^2, cannot be summed over rows and columns."""
    most = (torch.finfo(rows.dtype).max / (4 * max(count, 1) * rows.features)) ** 0.5
    size = torch.maximum(low.abs(), high.abs())
    if (size > most).any():
        came = f"{size.max().item():.3g} in {_named(rows, size > most)}"
        refuse("x", f"below {most:.1e} in size, so that squares fit into {rows.dtype}", came, _RESCALE)


def _check_constant(rows: Rows, found: Summary) -> None:
    constant = found.minimum == found.maximum
    if constant.all():
        came = f"{found.count} rows that are all equal" if found.count > 1 else "a single row that counts"
        refuse("x", "rows that differ", came, "Were the right rows and columns chosen?")
    if constant.any():
        came = _each(rows, constant, found.minimum)
        refuse("x", "varied in every column", came, "Leave constant columns out with columns=.")


def _check_small(rows: Rows, found: Summary) -> None:
    small = found.variance < torch.finfo(rows.dtype).tiny
    if small.any():
        came = f"variance {found.variance[small][0].item():.3g} in {_named(rows, small)}"
        refuse("x", f"spread enough for its squares not to vanish in {rows.dtype}", came, _RESCALE)


def _named(rows: Rows, which: Tensor) -> str:
    """The columns marked in `which`, in words."""
    if not rows.event_shape and rows.columns is None:
        return "the values"
    marked = [_name(rows, j) for j in which.reshape(-1).nonzero()[:, 0].tolist()]
    return f"column{'s' if len(marked) > 1 else ''} {', '.join(marked)}"


def _each(rows: Rows, constant: Tensor, value: Tensor) -> str:
    """Every constant column with its value, in words."""
    columns = constant.nonzero()[:, 0].tolist()
    return ", ".join(f"column {_name(rows, j)} with {value[j].item()} in every row" for j in columns)


def _name(rows: Rows, column: int) -> str:
    return repr(rows.columns[column]) if rows.columns else str(column)
