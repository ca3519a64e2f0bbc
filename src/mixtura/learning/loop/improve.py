"""Leaving a poor optimum by moves: propose changed states, run each a little, follow the best, keep it if it is better.

The objective of what is kept only rises. Proposals are tried as one batch, so they share every pass over the rows.
"""

from __future__ import annotations

from collections.abc import Callable

from torch import Tensor

from ...data import Rows
from .method import Method
from .reason import Reason
from .run import run
from .traces import Run, State, stack

__all__ = ["Propose", "improved"]

Propose = Callable[[State, Rows], list[State]]
"""Given a state without batch dimension, returns changed ones; none to stop."""

_SHORT = 10
_ROUNDS = 50  # a bound that is never met: each round must gain


def improved(method: Method, found: Run, rows: Rows, floor: Tensor, propose: Propose) -> Run:
    """Returns a run that ends no lower than the one found, after trying moves until none helps."""
    for _ in range(_ROUNDS):
        if found.reason not in (Reason.CONVERGED, Reason.MAX_ITERATIONS):
            return found
        proposals = propose(found.state, rows)
        if not proposals:
            return found
        tried = run(method.short(_SHORT), rows, stack(proposals), floor)
        best = max(tried, key=lambda one: one.objective)
        after = run(method, rows, stack([best.state]), floor)[0]
        if not (after.objective > found.objective + 10 * max(method.tolerance, 1e-9) and _sound(after)):
            return found
        found = after
    return found


def _sound(one: Run) -> bool:
    return one.reason in (Reason.CONVERGED, Reason.MAX_ITERATIONS)
