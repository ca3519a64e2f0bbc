r"""Drawing labels: each row's draw is a function of the pass and of the row's number alone.

A pass draws a key; under it, row n has random numbers of its own, whoever reads it, in whatever block, group or order.
So the labels that a generator's state leads to are those of the rows, not of the way in which they were gone through.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Self

import torch
from torch import Generator, Tensor

from ...components.special.keyed_draws import new_key, normal_of_rows, uniform_of_rows
from ...kernels import Drawn, Rule, Single

__all__ = ["OfRows", "Sampled", "SampledRows", "picked", "row_numbers"]


@dataclass(frozen=True)
class Sampled(Single):
    """A labels rule that draws one component per row from its posterior probabilities.

    Arguments:
        generator: The source of randomness.

    Example:
        >>> mx.learning.Sampled()(torch.tensor([[0.0, -torch.inf], [-torch.inf, 0.0]]))
        tensor([[1., 0.],
                [0., 1.]])
    """

    generator: Generator | None = None
    by_row = False  # it draws, and rows have numbers only once it is settled

    def settled(self) -> SampledRows:
        return SampledRows(torch.arange(0), new_key(self.generator), new_key(self.generator))

    def threshold(self, x: Tensor, restarts: int) -> Tensor:
        return self.settled().for_rows(row_numbers(x)).threshold(x, restarts)

    def __call__(self, log_joint: Tensor) -> Tensor:
        flat = log_joint.reshape(-1, log_joint.shape[-1])
        return self.settled().for_rows(row_numbers(flat))(flat).reshape(log_joint.shape)


@dataclass(frozen=True, eq=False)
class OfRows(Rule):
    """A rule that draws, settled for one pass.

    Arguments:
        numbers: The numbers of its rows, ``(n,)``; none at first.
    """

    numbers: Tensor
    by_row = False
    by_number = True

    def for_rows(self, numbers: Tensor) -> Self:
        return replace(self, numbers=numbers)

    def take(self, index: Tensor | slice) -> Self:
        return replace(self, numbers=self.numbers[index])


@dataclass(frozen=True, eq=False)
class SampledRows(OfRows, Drawn):
    """What is drawn for some rows in one pass: labels, and more for those who ask.

    Arguments:
        numbers: The numbers of the rows, ``(n,)``.
        key: The key of the labels.
        other: The key of all else.
    """

    key: int
    other: int

    def threshold(self, x: Tensor, restarts: int) -> Tensor:
        return uniform_of_rows(self.key, self.numbers, (restarts,), x.dtype)

    def normals(self, shape: Sequence[int], like: Tensor) -> Tensor:
        return normal_of_rows(self.other, self.numbers, shape, like.dtype)

    def __call__(self, log_joint: Tensor) -> Tensor:
        threshold = uniform_of_rows(self.key, self.numbers, log_joint.shape[1:-1], log_joint.dtype)
        return torch.zeros_like(log_joint).scatter_(-1, picked(log_joint, threshold).unsqueeze(-1), 1.0)


def picked(log_joint: Tensor, uniform: Tensor) -> Tensor:
    """Returns the index ``(...)`` in whose stretch of the cumulative probability a number in [0, 1) ``(...)`` lies.

    Arguments:
        log_joint: Log-probabilities ``(..., K)``, normalised or not.
        uniform: The numbers.
    """
    mass = (log_joint - log_joint.amax(-1, keepdim=True)).exp_()
    cumulative = torch.cumsum(mass, -1, out=mass)
    threshold = (uniform * mass[..., -1]).unsqueeze(-1)
    # Strictly below the last sum, so a component of no mass is never the first one above.
    return (cumulative <= threshold).sum(-1).clamp_max(mass.shape[-1] - 1)


def row_numbers(x: Tensor) -> Tensor:
    """The numbers of rows that come all at once."""
    return torch.arange(len(x), device=x.device)
