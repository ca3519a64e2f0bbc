"""Rules that turn log joints into responsibilities, and what a pass must know of a rule."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from enum import Enum, auto
from typing import Any, Self

import torch
from torch import Tensor

__all__ = ["Drawn", "Kind", "Labels", "Nearest", "Remembered", "Rule", "Single", "nearest", "soft"]

Labels = Callable[[Tensor], Tensor]
"""A rule is any function from log joints ``(..., K)`` to responsibilities ``(..., K)``."""


class Kind(Enum):
    """What a rule is, for passes that are compiled for some."""

    SOFT = auto()
    SINGLE = auto()
    NEAREST = auto()
    REMEMBERED = auto()
    OTHER = auto()


class Rule(ABC):
    """A labels rule that says what it is.

    Attributes:
        by_number: Whether a row's responsibilities depend on its number among all rows, as draws do.
        kind: Which of the rules that passes are compiled for, if any.
        by_row: Whether a row's responsibilities are a function of its own log joints alone, so that a pass may ask
            block by block. Draws are not: they belong to rows by number, which `take` keeps account of.
    """

    kind = Kind.OTHER
    by_row = True
    by_number = False

    @staticmethod
    def of(labels: Labels) -> Rule:
        """Returns the rule that a function is."""
        return labels if isinstance(labels, Rule) else _Function(labels)

    @abstractmethod
    def __call__(self, log_joint: Tensor) -> Tensor:
        """Returns responsibilities, (..., K) -> (..., K)."""

    def settled(self) -> Rule:
        """Returns the rule for one pass over all rows: what it draws for a row is settled by the row's number."""
        return self

    def for_rows(self, numbers: Tensor) -> Self:
        """Returns the rule, once settled, for the rows (n,) with these numbers: the log joints of those come to it."""
        return self

    def take(self, index: Tensor | slice) -> Self:
        """Returns the rule for some of its rows: whoever reads rows in pieces asks each piece's own."""
        return self

    def believe(self, joint: Tensor) -> tuple[Tensor, Tensor]:
        """Returns responsibilities (B, K, n) and log densities (B, 1, n) of log joints (B, K, n), which it may use up.

        Only of a rule that goes by row.
        """
        return self(joint.mT).mT, softmax(joint)[1]


class Soft(Rule):
    """Posterior probabilities.

    Example:
        >>> mx.learning.soft(torch.tensor([[0.0, 0.0]]))
        tensor([[0.5000, 0.5000]])
    """

    kind = Kind.SOFT

    def __call__(self, log_joint: Tensor) -> Tensor:
        return torch.softmax(log_joint, -1)

    def believe(self, joint: Tensor) -> tuple[Tensor, Tensor]:
        return softmax(joint)


class Single(Rule):
    """A labels rule that gives each row wholly to one component.

    That is the one whose stretch of the cumulative probability holds the row's threshold, or the most probable one.
    """

    kind = Kind.SINGLE

    @abstractmethod
    def threshold(self, x: Tensor, restarts: int) -> Tensor | None:
        """Numbers in [0, 1) for rows x, (N, B), or None for the most probable component."""


class Drawn(Single):
    """A labels rule that draws a component for each row, and can draw more for the same rows."""

    by_row = False

    @abstractmethod
    def normals(self, shape: Sequence[int], like: Tensor) -> Tensor:
        """Standard normal numbers of the rows, ``(n, *shape)``, of the type and device of a tensor."""


class Nearest(Rule):
    r"""Each row to its most probable component, whose log joint is all that the row is worth: K-means.

    The log-likelihood is that of the labels, :math:`\sum_n w_n \max_k \log p_{nk}`; no density is computed.
    """

    kind = Kind.NEAREST

    def __call__(self, log_joint: Tensor) -> Tensor:
        return torch.zeros_like(log_joint).scatter_(-1, log_joint.argmax(-1, keepdim=True), 1.0)

    def believe(self, joint: Tensor) -> tuple[Tensor, Tensor]:
        best, index = joint.max(1, keepdim=True)
        return torch.zeros_like(joint).scatter_(1, index, 1.0), best


class Remembered(Nearest):
    """The same for one table, asked again and again: a backend may keep here what it knows from the last pass."""

    kind = Kind.REMEMBERED
    last: Any = None


@dataclass(frozen=True)
class _Function(Rule):
    """A function of a user's own, which sees all rows once."""

    labels: Labels
    by_row = False

    def __call__(self, log_joint: Tensor) -> Tensor:
        return self.labels(log_joint)


def softmax(joint: Tensor) -> tuple[Tensor, Tensor]:
    """Responsibilities, in place of the log joints (B, K, n), and log densities (B, 1, n), from one exponential."""
    top = joint.amax(1, keepdim=True)
    r = joint.sub_(top).exp_()
    mass = r.sum(1, keepdim=True)
    return r.div_(mass), top + mass.log()


soft = Soft()
nearest = Nearest()
