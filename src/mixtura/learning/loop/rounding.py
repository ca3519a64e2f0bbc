r"""What rounding does to an objective: a least size, which is always there, and the whole of it, which is measured.

An objective is a mean over rows of sums whose terms may cancel, such as :math:`\langle\eta, T\rangle` and :math:`A`,
at parameters that are rounded themselves: at a mean of a million and a scale of one, single precision moves a mean by a
twentieth of the scale. No bound by the size of one term serves all families; one that is too large ends fits whose gain
is still to come, and one that is too small takes noise for a fall. So

- a gain is judged against the *least* size, :math:`\epsilon\max(1, |\ell|)`, and where the tolerance is finer than
  that, over many updates at once (`no_gain_left`): noise that is larger than the least changes its sign soon;
- a fall is judged against the size that is *seen* when every parameter of the state before it is moved by some units in
  its last place, enough to round its logarithm anew, and when the sums are from which the state after it was made:
  second moments of columns that all but depend on each other are known to fewer digits than the scales across them.
Falls that rounding explains show its size, by which later gains are judged.

Where an observation integrates by nodes, an objective is known as well as they do it: integrated in another order it
moves, and the difference of two objectives is known to the sum of what both move by.
"""

from __future__ import annotations

import math
from typing import TYPE_CHECKING

import torch
from torch import Generator, Tensor

from ...data import Rows
from .traces import State, stack

if TYPE_CHECKING:
    from .method import Method

__all__ = ["by_nodes", "half_of_digits", "least", "seen"]

_NEARBY = 4  # states about the one in question
_UNITS = 16


def least(objective: float, dtype: torch.dtype) -> float:
    """Returns the rounding of an objective (nats per row) whose terms do not cancel."""
    return torch.finfo(dtype).eps * max(1.0, abs(objective))


def half_of_digits(floor: Tensor, dtype: torch.dtype) -> Tensor:
    """Returns the variance that half of the digits tell from none, from the one that rounding alone does."""
    return floor / torch.finfo(dtype).eps ** 0.5


def seen(method: Method, rows: Rows, state: State, objective: float) -> float:
    """Returns how far the objective (nats per row) moves with the last digits of a state's parameters, or of its sums.

    Arguments:
        method: The method.
        rows: The rows, through which one more pass goes.
        state: The state, without batch dimension.
        objective: Its objective.
    """
    alike, read = stack([state] * _NEARBY), torch.finfo(method.expected(state).dtype).eps
    updated = method.update(method.expect(alike, rows).map(_Nudge()), alike)
    if bool(method.expected(updated).components.broken().any()):
        return math.inf  # of sums that are the same but for rounding, one makes no components at all
    here, after = (_objectives(method, rows, states) for states in (alike.map(_Nudge(read)), updated))
    spread = torch.stack([(here - objective).abs().max(), after.max() - after.min()])
    return spread.nan_to_num(nan=torch.inf).max().item()


def by_nodes(method: Method, rows: Rows, states: State) -> float:
    """Returns how well the difference between the objectives (nats per row) of two states is known by integration.

    Arguments:
        method: The method.
        rows: The rows.
        states: The two states, along the batch dimension.
    """
    other = rows.observation.otherwise()
    if other is rows.observation:
        return 0.0
    moved = _objectives(method, rows.through(other), states) - _objectives(method, rows, states)
    return moved.abs().sum().item()


def _objectives(method: Method, rows: Rows, states: State) -> Tensor:
    return method.objective(method.expect(states, rows), states) / rows.total_weight


class _Nudge:
    """Moves every number by up to some units in its last place, up or down, or in that with which it is read."""

    def __init__(self, least: float = 0.0) -> None:
        self.least, self.generator = least, Generator().manual_seed(0)

    def __call__(self, tensor: Tensor) -> Tensor:
        if not tensor.is_floating_point():
            return tensor
        sign = 2 * torch.rand(tensor.shape, generator=self.generator, dtype=torch.float64).to(tensor) - 1
        return tensor * (1 + sign * _UNITS * max(self.least, torch.finfo(tensor.dtype).eps))
