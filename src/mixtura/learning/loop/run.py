r"""The one loop of learning.

    repeat: statistics = sum over blocks of expect(state, block); state = update(statistics, state)

A method is two small functions: the labels rule used by ``expect``, and ``update``. Mostly the state is a mixture; it
may be any value from which a method can make one, such as the posterior of variational Bayes. The loop runs a whole
batch of starts at once through each block, watches each one's objective and says why it stopped.

Convergence is judged by the gain still to come. Near a fixed point the gains :math:`g_t` of the objective (nats per
row) shrink geometrically at a rate :math:`a = g_t / g_{t-1}`, so what remains is :math:`g_t\, a / (1 - a)` (Aitken); a
start has converged when that is below the tolerance and no component grows: one that holds next to nothing may gain
next to nothing, and more each time. A method that draws or tempers has no such limit: it says that it
is not monotone, and is then neither stopped for a fall nor for a small gain.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import TYPE_CHECKING

import torch
from torch import Tensor

from ...components import Statistics
from ...data import Rows
from .guesses import guesses
from .reason import Reason
from .rivals import Sound, hopeful
from .rounding import by_nodes, half_of_digits, least, seen
from .traces import Report, Run, State, stack

if TYPE_CHECKING:
    from .method import Method

__all__ = ["Watch", "run"]

_GROWTH = 0.02  # of the logarithm of a weight, from which on a component grows
_SLOWLY = 0.001  # the same of one that holds less than a row, which may still find one

Watch = Callable[[int, list[int], State, list[float]], None]
"""Called every iteration with its number, the starts still going, their states and objectives: how draws are kept."""


def run(
    method: Method,
    rows: Rows,
    start: State,
    floor: Tensor,
    report: Report | None = None,
    watch: Watch | None = None,
    rivals: Sound | None = None,
) -> list[Run]:
    """Runs the loop from every entry of a batch of mixtures.

    Arguments:
        method: The method, with its limit and tolerance.
        rows: The rows; each pass goes through them once for all starts together.
        start: The starts, with batch shape ``(B,)``.
        floor: The variance of each feature below which a component counts as collapsed, with shape ``(*event)``.
        report: Called after each iteration.
        watch: Called with every iteration's states.
        rivals: Where starts are rivals, what tells whether a state where one ended counts; those that cannot pass it
            are given up.

    Returns:
        One `Run` per start. Ctrl-C ends the loop and returns what there is.
    """
    method = method.informed(rows, start)
    leapt = method.leap(rows, start, floor, report) if watch is None else None
    if leapt is not None:
        return leapt
    state = method.begin(start, rows)
    runs = [Run(method, state, entry) for entry in range(len(method.expected(start).logits))]
    rows = method.gathered(rows, state) if watch is None else rows
    try:
        _iterate(method, rows, state, floor, runs, report, watch, rivals)
    except KeyboardInterrupt:
        for one in runs:
            if one.reason is Reason.MAX_ITERATIONS:
                one.reason = Reason.INTERRUPTED
    return runs


def _iterate(
    method: Method,
    rows: Rows,
    state: State,
    floor: Tensor,
    runs: list[Run],
    report: Report | None,
    watch: Watch | None,
    rivals: Sound | None,
) -> None:
    as_drawn = rows.observation.exact or rows.observation.selects  # of those that were recorded
    alive, ahead = list(range(len(runs))), guesses(method, state, runs, as_drawn)
    for iteration in range(method.max_iterations + 1):
        now = method.at(iteration)
        statistics = now.expect(state, rows)
        objective = (now.objective(statistics, state) / rows.total_weight).tolist()
        refused = ahead.rejected(objective)
        judged = [(runs[i], state, statistics, b, objective[b], now, rows, floor) for b, i in enumerate(alive)]
        going = [no or _record(*one) for no, one in zip(refused, judged, strict=True)]
        going = going if rivals is None else hopeful(going, [runs[i] for i in alive], runs, rivals)
        if watch is not None:
            watch(iteration, alive, state, objective)
        if report is not None:
            report(iteration, max(one.objective for one in runs))
        if iteration == method.max_iterations or not any(going):
            return
        proposed = ahead.proposed(now, statistics, state, floor)
        collapsed = now.collapsed(proposed, floor)
        going = _judge_collapse(collapsed, statistics, going, [runs[i] for i in alive])
        if not any(going):
            return
        if not all(going):
            kept = [b for b, goes in enumerate(going) if goes]
            alive, proposed, ahead = [alive[b] for b in kept], proposed.batch(kept), ahead.kept(kept)
        state = proposed


def _record(
    one: Run,
    state: State,
    sums: Statistics,
    entry: int,
    objective: float,
    method: Method,
    rows: Rows,
    floor: Tensor,
) -> bool:
    """Notes the objective of a start, keeps its state unless it got worse, and tells whether it goes on."""
    if not math.isfinite(objective):
        return _lost(one, state, entry, method, floor)
    rounding = least(objective, method.expected(state).dtype)
    if method.monotone and len(one.trace) > one.climb and _fell(one, objective, rounding, method, rows, (state, entry)):
        return one.ended(Reason.FELL, f"It fell by {one.trace[-1] - objective:.3g} nats per row.")
    one.trace.append(objective)
    one.batch, one.entry = state, entry
    if not method.monotone:
        one.climb = len(one.trace)
    settled = method.converged(one, max(rounding, one.noise)) and not _growing(method, state, sums, entry)
    return not settled or _converged(one, method)


def _growing(method: Method, state: State, sums: Statistics, entry: int) -> bool:
    """Tells whether the next update makes some component much heavier: then small gains are those of a saddle."""
    now, then = (method.expected(one).logits[entry] for one in (state, method.update(sums, state)))
    held = sums.weight[entry].to(now)
    return bool((then - now > torch.where(held < 1, _SLOWLY, _GROWTH)).any())


def _converged(one: Run, method: Method) -> bool:
    """Ends a run that has converged, and says so where rounding or integration hides more than the tolerance."""
    hidden = (
        f"Rounding or integration moves it by {one.noise:.3g} nats per row." if one.noise > method.tolerance else ""
    )
    return one.ended(Reason.CONVERGED, hidden)


def _lost(one: Run, state: State, entry: int, method: Method, floor: Tensor) -> bool:
    """Ends a run whose objective is not finite: a collapse if that of the state before was, and a component is narrow.

    Narrow is what has lost half of its digits to rounding.
    """
    narrow = method.collapsed(state.batch([entry]), half_of_digits(floor, method.expected(state).dtype))
    if one.trace and bool(narrow.any()):
        which = ", ".join(map(str, narrow[0].nonzero().squeeze(-1).tolist()))
        return one.ended(Reason.COLLAPSED, f"Component {which} is so narrow that its density is lost in rounding.")
    one.trace = one.trace or [-math.inf]
    return one.ended(Reason.NOT_FINITE)


def _fell(one: Run, objective: float, rounding: float, method: Method, rows: Rows, after: tuple[State, int]) -> bool:
    """Tells whether the objective fell by more than rounding and integration explain, measured where it fell at all.

    What they explain is noted.
    """
    fall = one.trace[-1] - objective
    if fall <= max(100 * rounding, one.noise):
        return False
    one.noise, (state, entry) = fall, after
    if fall <= 10 * seen(method, rows, one.state, one.trace[-1]):
        return False
    return fall > by_nodes(method, rows, stack([one.state, state.batch(entry)]))


def _judge_collapse(collapsed: Tensor, statistics: Statistics, going: list[bool], runs: list[Run]) -> list[bool]:
    """Stops the starts whose proposed components collapsed; they keep their last good state."""
    if not bool(collapsed.any()):
        return going
    for b, (one, bad) in enumerate(zip(runs, collapsed.tolist(), strict=True)):
        if any(bad) and going[b]:
            k = min((k for k, is_bad in enumerate(bad) if is_bad), key=statistics.weight[b].tolist().__getitem__)
            going[b] = one.ended(Reason.COLLAPSED, f"Component {k} holds {statistics.weight[b, k].item():.3g} rows.")
    return going
