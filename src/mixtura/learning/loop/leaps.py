"""Runs over small tables: which rows are, and what the loop would have noted of what the kernels found.

Where a method's update is the M-step of the sums alone and the rows are few, the kernels advance all starts by many
updates at once (`mixtura.kernels.small`). What comes back is a trace, the state where it ends, and why.
"""

from __future__ import annotations

import math
from typing import TYPE_CHECKING, Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from ...data import Rows, TensorRows
from ...kernels.small import End, Table, small
from .reason import Reason
from .traces import Report, Run, State

Array = NDArray[Any]

if TYPE_CHECKING:
    from .method import Method

__all__ = ["REASONS", "described", "gathered", "noted", "plain_rows", "plain_table", "small_rows", "tabled", "told"]

REASONS = {
    End.RUNNING: Reason.MAX_ITERATIONS,
    End.CONVERGED: Reason.CONVERGED,
    End.COLLAPSED: Reason.COLLAPSED,
    End.NOT_FINITE: Reason.NOT_FINITE,
    End.FELL: Reason.FELL,
}


def plain_rows(rows: Rows) -> bool:
    """Whether rows are in memory, as they were drawn, and no label is known."""
    return rows.observation.exact and _here(rows)


def plain_table(rows: Rows) -> bool:
    """Whether rows are a small table in memory, as they were drawn, of which no label is known."""
    return plain_rows(rows) and small(len(rows), rows.features)


def small_rows(rows: Rows) -> bool:
    """Whether rows are a small table in memory, however they were recorded, of which no label is known."""
    return _here(rows) and small(len(rows), rows.features)


def _here(rows: Rows) -> bool:
    return type(rows) is TensorRows and not rows.possible.known and rows.device.type == "cpu"


def gathered(rows: Rows) -> Rows:
    """Returns a small table with equal rows as one that counts as often, where they are at most half as many.

    Rows may have been recorded through something, as long as it is the same for all, and without gaps.
    """
    alike = type(rows) is TensorRows and not rows.observation.side and not rows.possible.known
    if not (alike and rows.device.type == "cpu" and small(len(rows), rows.features)):
        return rows
    if bool(rows.tensor().isnan().any()):
        return rows
    x, place = torch.unique(rows.tensor(), dim=0, return_inverse=True)
    if 2 * len(x) > len(rows):
        return rows
    weight = torch.zeros(len(x), dtype=torch.float64).index_add_(0, place, rows.each_weight.double())
    return rows.recorded_as(x, weight)


def tabled(rows: Rows, floor: Tensor) -> Table:
    """Returns rows as the kernels read them."""
    return Table.of(rows.tensor().reshape(len(rows), -1), rows.weight, floor.reshape(-1))


def told(report: Report | None, made: int, traces: Array) -> None:
    """Reports the best objective after each of the updates that follow so many."""
    if report is not None:
        for line in range(int((~np.isnan(traces)).any(0).sum())):
            report(made + line, float(np.nanmax(traces[:, line])))


def noted(method: Method, state: State, entry: int, trace: Array, end: int, note: Array) -> Run:
    """Notes how a start went, by its objectives, NaN after the last, and why it ended where it did."""
    reason = REASONS[End(end)]
    objectives = trace[~np.isnan(trace)].tolist() or [-math.inf]
    return Run(method, state, entry, objectives, reason, described(reason, *note))


def described(reason: Reason, which: float, amount: float) -> str:
    """The particulars of a reason."""
    if reason is Reason.COLLAPSED:
        return f"Component {int(which)} holds {amount:.3g} rows."
    return f"It fell by {amount:.3g} nats per row." if reason is Reason.FELL else ""
