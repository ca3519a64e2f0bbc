"""Runs over small tables: the same loop, many updates a call.

Where a method's update is the M-step of the sums alone and the rows are few, the kernels advance all starts by many
updates at once (`mixtura.kernels.small`). What comes back is what the loop would have noted: a trace, the state where
it ends, and why.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import TYPE_CHECKING, Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Generator, Tensor

from ...components import Family
from ...data import Rows, TensorRows
from ...errors import refuse
from ...kernels import Step
from ...kernels.small import End, Limits, Outcome, Starts, States, Table, small
from ...mixture import Mixture
from .member_leaps import members, members_serve, mixture_of
from .reason import Reason
from .traces import Report, Run

Array = NDArray[Any]

if TYPE_CHECKING:
    from .method import Method

__all__ = [
    "REASONS",
    "STRETCH",
    "described",
    "leap",
    "noted",
    "plain_rows",
    "plain_table",
    "serves",
    "some_mixture",
    "started",
    "state_of",
    "step_of",
    "tabled",
    "told",
]

STRETCH = 100  # updates in a call, after which Ctrl-C is heard

REASONS = {
    End.RUNNING: Reason.MAX_ITERATIONS,
    End.CONVERGED: Reason.CONVERGED,
    End.COLLAPSED: Reason.COLLAPSED,
    End.NOT_FINITE: Reason.NOT_FINITE,
    End.FELL: Reason.FELL,
}


def plain_rows(rows: Rows) -> bool:
    """Whether rows are in memory, as they were drawn, and no label is known."""
    plain = type(rows) is TensorRows and rows.observation.exact and not rows.possible.known
    return plain and rows.device.type == "cpu"


def plain_table(rows: Rows) -> bool:
    """Whether rows are a small table in memory, as they were drawn, of which no label is known."""
    return plain_rows(rows) and small(len(rows), rows.features)


def serves(rows: Rows, start: Mixture) -> bool:
    """Whether the kernels make many updates of EM for these components, on these rows, in a call."""
    components = start.components
    return components.is_gaussian and components.gaussian.structure.step is not None and plain_table(rows)


def leap(method: Method, rows: Rows, start: Mixture, floor: Tensor, report: Report | None) -> list[Run] | None:
    """Runs EM from every entry of a batch of mixtures, as `run` does; none where the kernels do not serve them."""
    if serves(rows, start):
        starts, back = started(tabled(rows, floor), start), state_of
    elif plain_table(rows) and members_serve(rows, start):
        starts, back = members(rows, floor, start), mixture_of
    else:
        return None
    runs = [Run(method, start, entry) for entry in range(len(starts))]
    try:
        _advance(method, starts, lambda moved: back(moved, start), runs, report)
    except KeyboardInterrupt:
        for one in runs:
            one.reason = Reason.INTERRUPTED if one.reason is Reason.MAX_ITERATIONS else one.reason
    return runs


def _advance(
    method: Method, starts: States, back: Callable[[Any], Mixture], runs: list[Run], report: Report | None
) -> None:
    """Advances the starts to their ends, in stretches after which Ctrl-C is heard."""
    alive, made = np.arange(len(starts)), 0
    while len(alive) and made < method.max_iterations:
        limits = Limits(min(STRETCH, method.max_iterations - made), method.tolerance, method.accelerated)
        starts, found = starts.advanced(limits)
        noted([runs[one] for one in alive], back(starts), found)
        made += limits.updates
        going = found.ends == End.RUNNING
        alive, starts = alive[going], starts.take(going)
        told(report, made - limits.updates, found.traces)


def tabled(rows: Rows, floor: Tensor) -> Table:
    """Returns rows as the kernels read them."""
    return Table.of(rows.tensor().reshape(len(rows), -1), rows.weight, floor.reshape(-1))


def told(report: Report | None, made: int, traces: Array) -> None:
    """Reports the best objective after each of the updates that follow so many."""
    if report is not None:
        for line in range(int((~np.isnan(traces)).any(0).sum())):
            report(made + line, float(np.nanmax(traces[:, line])))


def noted(runs: list[Run], state: Mixture, found: Outcome) -> None:
    """Notes how starts went on, and why they ended where they did."""
    for entry, one in enumerate(runs):
        one.trace = one.trace[:-1] + found.traces[entry, : found.lengths[entry]].tolist() or [-math.inf]
        one.batch, one.entry, one.reason = state, entry, REASONS[End(found.ends[entry])]
        one.detail = described(one.reason, *found.notes[entry])


def described(reason: Reason, which: float, amount: float) -> str:
    """The particulars of a reason."""
    if reason is Reason.COLLAPSED:
        return f"Component {int(which)} holds {amount:.3g} rows."
    return f"It fell by {amount:.3g} nats per row." if reason is Reason.FELL else ""


def step_of(like: Mixture) -> Step:
    """The compiled M-step of a mixture's covariances, where they have one."""
    structure = like.components.gaussian.structure
    if structure.step is None:
        refuse("covariance", "a structure with a compiled M-step", repr(structure))
    return structure.step


def started(table: Table, start: Mixture) -> Starts:
    """Returns a batch of mixtures of Gaussians as the kernels take it."""
    gaussian = start.components.gaussian
    logits = torch.log_softmax(start.logits.double(), -1).numpy()
    mean, covariance = gaussian.location.double().numpy(), gaussian.structure.dense(gaussian.features).double().numpy()
    return Starts.of(table, step_of(start), logits, mean, covariance, np.zeros(len(logits), np.int64))


def state_of(starts: Starts, like: Mixture) -> Mixture:
    """Returns starts as a batch of mixtures like another."""
    gaussian = like.components.gaussian
    dtype, structure = gaussian.dtype, gaussian.structure
    covariance = torch.from_numpy(starts.covariance[:, :1] if structure.tied else starts.covariance)
    moved = gaussian._of(
        location=torch.from_numpy(starts.mean).to(dtype),
        structure=structure.map(torch.Tensor.double).with_covariance(covariance).to(dtype),
    )
    return Mixture._of(torch.from_numpy(starts.logits.copy()).to(dtype), like.components.with_gaussian(moved))


def some_mixture(rows: Rows, family: Family, components: int) -> Mixture:
    """Some mixture of the family, in a batch of one."""
    x = torch.rand(4 * rows.features + 4, *rows.event_shape, generator=Generator().manual_seed(0), dtype=rows.dtype)
    r = torch.ones(len(x), 1, components, dtype=rows.dtype)
    return Mixture._of(torch.zeros(1, components, dtype=rows.dtype), family.start(x, r))
