r"""What rounding does to an objective: a least size, which is always there, and the whole of it, which is measured.

An objective is a mean over rows of sums whose terms may cancel, such as :math:`\langle\eta, T\rangle` and :math:`A`,
at parameters that are rounded themselves: at a mean of a million and a scale of one, single precision moves a mean by a
twentieth of the scale. No bound by the size of one term serves all families; one that is too large ends fits whose gain
is still to come, and one that is too small takes noise for a fall. So

- a gain is judged against the *least* size, :math:`\epsilon\max(1, |\ell|)`, and where the tolerance is finer than
  that, over many updates at once (`no_gain_left`): noise that is larger than the least changes its sign soon;
- a fall is judged against the size that is *seen* when every parameter of the state before it is moved by some units in
  its last place, enough to round its logarithm anew.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import torch
from torch import Generator, Tensor

from ...data import Rows
from .traces import State, stack

if TYPE_CHECKING:
    from .method import Method

__all__ = ["half_of_digits", "least", "seen"]

_NEARBY = 4  # states about the one in question
_UNITS = 16


def least(objective: float, dtype: torch.dtype) -> float:
    """Returns the rounding of an objective (nats per row) whose terms do not cancel."""
    return torch.finfo(dtype).eps * max(1.0, abs(objective))


def half_of_digits(floor: Tensor, dtype: torch.dtype) -> Tensor:
    """Returns the variance that half of the digits tell from none, from the one that rounding alone does."""
    return floor / torch.finfo(dtype).eps ** 0.5


def seen(method: Method, rows: Rows, state: State, objective: float) -> float:
    """Returns how far the objective (nats per row) of a state moves with the last digits of its parameters.

    Arguments:
        method: The method.
        rows: The rows, through which one more pass goes.
        state: The state, without batch dimension.
        objective: Its objective.
    """
    nearby = stack([state.map(_Nudge(seed)) for seed in range(_NEARBY)])
    values = method.objective(method.expect(nearby, rows), nearby) / rows.total_weight
    return (values - objective).abs().nan_to_num(nan=torch.inf).max().item()


class _Nudge:
    """Moves every number by up to some units in its last place, up or down."""

    def __init__(self, seed: int) -> None:
        self.generator = Generator().manual_seed(seed)

    def __call__(self, tensor: Tensor) -> Tensor:
        if not tensor.is_floating_point():
            return tensor
        sign = 2 * torch.rand(tensor.shape, generator=self.generator, dtype=torch.float64).to(tensor) - 1
        return tensor * (1 + sign * _UNITS * torch.finfo(tensor.dtype).eps)
