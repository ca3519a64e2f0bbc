"""Rows as they enter learning: what was recorded, how, and what is known of their labels; checked once, here."""

from __future__ import annotations

from typing import Any, NamedTuple

import torch
from torch import Tensor

from ...components.observation import Observation
from ...components.observation_sequence import as_one
from ...data import UNKNOWN, Block, KnownLabels, Possible, Rows, check_large
from ...data import rows as as_rows
from ...errors import MixtureError, refuse

__all__ = ["check_each_component", "check_recorded", "recorded"]


def recorded(
    x: Any,
    columns: Any = None,
    weight: Any = None,
    observation: Any = None,
    labels: Any = None,
    components: int | None = None,
) -> Rows:
    """Returns the rows with all that is known of them; for no rows, those that the observation itself holds.

    Arguments:
        x: The rows, in any form that `fit` takes; rows that know how they were recorded stay as they are.
        columns: Which columns of a table.
        weight: How much each row counts.
        observation: How the rows were recorded, one of `mixtura.observation` or a sequence of them.
        labels: The component of each row where it is known, and -1 elsewhere.
        components: The number of components, if given.

    Raises:
        MixtureError: If the rows, the observation or the labels cannot be used.
    """
    through = None if observation is None else as_one(observation)
    if x is None:
        x, weight = _held(through)
    try:
        rows = as_rows(x, columns, weight)
    except MixtureError as error:  # what rows call their weight, learners call sample_weight
        raise MixtureError(str(error).replace("`weight`", "`sample_weight`")) from error
    rows = rows if through is None else rows.through(through)
    return rows if labels is None else rows.labelled(known_labels(rows, labels, components))


def _held(observation: Observation | None) -> tuple[Tensor, Tensor]:
    """The rows that an observation holds, such as a histogram's bins, and their counts."""
    held = None if observation is None else observation.held
    if held is None:
        refuse("x", "rows", None, "Only `mixtura.observation.Binned` with counts brings its own.")
    return held


def known_labels(rows: Rows, labels: Any, components: int | None) -> Possible:
    """Returns what is known of the labels.

    Arguments:
        rows: The rows.
        labels: One whole number per row, -1 where the label is not known.
        components: The number of components, if given.

    Raises:
        MixtureError: If there is not one label per row, one is out of range, or a class has no row.
    """
    found = torch.as_tensor(labels, device=rows.device)
    if found.is_floating_point() or found.is_complex() or found.shape != (len(rows),):
        refuse("labels", f"one whole number for each of {len(rows)} rows", f"{found.dtype} {tuple(found.shape)}")
    found = found.long()
    most = int(found.max())
    if int(found.min()) < UNKNOWN or (components is not None and most >= components):
        limit = "up" if components is None else f"to {components - 1}"
        refuse("labels", f"-1 (unknown) or from 0 {limit}", f"{int(found.min())} to {most}")
    if most < 0:
        refuse("labels", "known for some row", "-1 for all", "Leave the argument out.")
    counts = torch.bincount(found[found >= 0], minlength=most + 1)
    if bool((counts == 0).any()):
        missing = (counts == 0).nonzero().squeeze(-1).tolist()
        advice = "Number the classes without gaps; components without labelled rows come last."
        refuse("labels", f"rows for every class up to {most}", f"none for {', '.join(map(str, missing))}", advice)
    return KnownLabels(found)


def check_each_component(rows: Rows, components: int) -> None:
    """Refuses an observation with tensors for another number of components."""
    kinds = {tensor.shape[1] for tensor in rows.observation.led if tensor.ndim > 1} - {1, components}
    if kinds:
        expected = f"shared, or given for each of {len(rows)} rows or {components} components"
        refuse("observation", expected, f"tensors for {min(kinds)}", "See `per_row`.")


def check_recorded(rows: Rows, components: int | None) -> int:
    """Returns the number of rows that count, after checks: enough rows, no infinity, gaps only where they are meant.

    A row of which nothing was recorded is allowed; a column of which nothing was recorded is not, nor one that holds
    one value in every row unless errors stand before it, which would make it a law without spread.

    Arguments:
        rows: The rows.
        components: The number of components, where it is known already.

    Raises:
        MixtureError: If a check fails; the message names the column.
    """
    if components is not None:
        check_each_component(rows, components)
    blocks = rows.reduce(lambda block: [_counted(block, rows)])
    count = sum(one.count for one in blocks)
    low, high = torch.stack([one.low for one in blocks]).amin(0), torch.stack([one.high for one in blocks]).amax(0)
    seen = low <= high
    if count < (components or 1):
        refuse("components", f"at most the number of rows that count, {count}", components or 1)
    if not bool(seen.all()):
        names = [f"column {rows.named(j)}" for j in (~seen).nonzero().squeeze(-1).tolist()]
        refuse("x", "recorded somewhere in every column", f"nothing at all in {', '.join(names)}", "Leave it out.")
    check_large(rows, count, low, high)
    blurs = rows.observation.carries and not rows.observation.only_gaps
    if bool((low == high).any()) and not blurs:
        names = [f"column {rows.named(j)}" for j in (low == high).nonzero().squeeze(-1).tolist()]
        refuse("x", "varied in every column", f"one value in every row of {', '.join(names)}", "Leave it out.")
    return count


class _Counted(NamedTuple):
    """How many rows of a block count, and the least and the greatest value recorded of them in each column."""

    count: int
    low: Tensor
    high: Tensor


def _counted(block: Block, rows: Rows) -> _Counted:
    values = block.vectors if block.weight is None else block.vectors[block.weight > 0]
    if bool(values.isinf().any()):
        column = int(values.isinf().any(0).nonzero()[0])
        refuse("x", "finite, or NaN where nothing was recorded", f"infinity in column {rows.named(column)}")
    if not rows.observation.gaps and bool(values.isnan().any()):
        column = int(values.isnan().any(0).nonzero()[0])
        advice = "Where a gap is meant, add `mixtura.observation.Missing()` as the last observation."
        refuse("x", "free of NaN under this observation", f"NaN in column {rows.named(column)}", advice)
    outside = block.observation.outside(block.vectors) & (block.weights > 0)
    if bool(outside.any()):
        came = f"{int(outside.sum())} rows outside, first row {int(block.numbers[outside][0])}"
        refuse("x", "within the limits, since nothing outside is recorded", came, "Drop them.")
    if not len(values):
        return _Counted(0, values.new_full(values.shape[1:], torch.inf), values.new_full(values.shape[1:], -torch.inf))
    low, high = values.nan_to_num(nan=torch.inf).amin(0), values.nan_to_num(nan=-torch.inf).amax(0)
    return _Counted(len(values), low, high)
