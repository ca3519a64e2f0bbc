"""What stands between a Gaussian and the law of a row, and how torch reads rows under it."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Callable, Iterator
from enum import Enum, auto
from typing import TYPE_CHECKING, ClassVar, NamedTuple

from torch import Tensor

from .residuals import Residuals

if TYPE_CHECKING:
    from .plan import Plan

__all__ = ["NOTHING", "Beyond", "Extra", "Read"]


class Beyond(Enum):
    """What an extra is, for passes that are compiled for some."""

    NOTHING = auto()
    TAILS = auto()
    ERRORS = auto()


class Read(NamedTuple):
    """A block of rows under a plan.

    Attributes:
        rows: Which rows.
        joint: Log joints (B, K, n), free to be used up.
        sums: From responsibilities (B, K, n), which it may use up, to shift, scatter and tails, in float64.
    """

    rows: slice
    joint: Tensor
    sums: Callable[[Tensor], list[Tensor]]


class Extra(ABC):
    """What a plan has beside a Gaussian's parameters: the null object `NOTHING`, heavy tails, or errors by row."""

    beyond: ClassVar[Beyond]

    @abstractmethod
    def read(self, plan: Plan, x: Tensor) -> Iterator[Read]:
        """Yields blocks of rows, in order."""

    @abstractmethod
    def score(self, plan: Plan, x: Tensor, joint: Tensor, r: Tensor) -> Tensor:
        """The gradient of the log-density of rows (N, D) of one mixture; log joints and responsibilities are (N, K)."""

    def part(self, restarts: slice) -> Extra:
        """The same of some restarts."""
        return self

    def rows(self, rows: slice) -> Extra:
        """The same of some rows."""
        return self


class _Nothing(Extra):
    """A Gaussian as it is."""

    beyond = Beyond.NOTHING

    def read(self, plan: Plan, x: Tensor) -> Iterator[Read]:
        blocks = Residuals(plan, x, plan.logits)
        for rows, t, joint, room in blocks:
            yield Read(rows, joint, lambda r, t=t, room=room: blocks.moments(t, r, room))

    def score(self, plan: Plan, x: Tensor, joint: Tensor, r: Tensor) -> Tensor:
        return plan.form.attraction(plan.factor[0], x, plan.mean[0], r)


NOTHING = _Nothing()
