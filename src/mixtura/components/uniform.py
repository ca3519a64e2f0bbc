r"""The uniform family on boxes: values between ends that are sharp; beside other families, what outliers look like.

.. math:: \log p(x) = -\sum_d \log(h_d - l_d) \quad\text{for } l \le x \le h .

Its ends are not learned by steps: every row in a box has a positive responsibility, so EM can neither take an end past
a row, where the expected log-likelihood is minus infinity, nor gain by leaving room outside the outermost one. So for
given sets of rows the maximum is

.. math:: l_k = \min_{n \in k} x_n, \qquad h_k = \max_{n \in k} x_n,

in each coordinate, and is taken at once when a run begins (`Uniform.settled`): a box holds the rows inside it, and a
row in no box belongs to the nearest in units of widths. Then EM moves the weights, where the likelihood is concave.
What the ends amount to is up to the starts, of which the likelihood chooses: in one half of them components are the
boxes of clusters of rows, and in the other one box is around all and the rest inside. A box on rows that are all alike
would have an infinite likelihood; it is a collapse.

Beside or among other families (`Beside`, `Product`) and where ends are given, boxes stay as they are.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from functools import reduce
from operator import add
from typing import Any, ClassVar, Self

import torch
from torch import Generator, Tensor
from torch.distributions import constraints

from ..errors import NotClosedForm, refuse
from .argument import Argument
from .base import Reduce
from .coordinates import Coordinates
from .exponential_family import _column
from .family import Family
from .statistics import Statistics

__all__ = ["Uniform"]


@dataclass(frozen=True, eq=False, repr=False, init=False)
class Uniform(Coordinates):
    """K uniform distributions on intervals, or on boxes.

    Arguments:
        low: The lower ends, with shape ``(*B, K)``; ``(*B, K, D)`` for boxes.
        high: The upper ends, in the same shape.
        vectors: Whether rows are vectors.
        fixed: Whether a fit leaves the ends as they are; they then count as no parameters.

    Raises:
        MixtureError: If an upper end is not above its lower end.

    Example:
        >>> mx.Uniform(torch.tensor([0.0, -1.0]), torch.tensor([4.0, 1.0])).log_prob(torch.tensor(3.0)).exp()
        tensor([0.2500, 0.0000])
    """

    arguments: ClassVar = {"low": constraints.real, "high": constraints.real}
    low: Tensor
    high: Tensor
    fixed: bool = True

    def __init__(self, low: Tensor, high: Tensor, *, vectors: bool = False, fixed: bool = True) -> None:
        self._seal(vectors, low=low, high=high)
        object.__setattr__(self, "fixed", fixed)
        self._check_ends()

    def _check_ends(self) -> None:
        if not bool((self.high > self.low).all()):
            refuse("high", "above `low`", (self.high - self.low).min().item())

    def verify(self) -> None:
        super().verify()
        self._check_ends()

    @property
    def domain(self) -> Any:
        return constraints.interval(self.low.min().item(), self.high.max().item())

    @property
    def parameters(self) -> int:
        """Both ends of each box and coordinate; none where the ends are given."""
        return 0 if self.fixed else super().parameters

    def log_prob(self, x: Tensor) -> Tensor:
        rows = self._rows(x)
        inside = (rows >= self.low) & (rows <= self.high)
        level = (0 * rows).masked_fill(~inside, -torch.inf)  # a slope of zero in x, not none
        density = self._sum(level - self._width.log())
        return self._within(density, x, x.isnan())

    def statistics(self, x: Tensor, r: Tensor) -> tuple[Tensor, ...]:
        """Returns nothing: the ends are settled."""
        return ()

    def update(self, statistics: Statistics, prior: Any = None) -> Self:
        """Returns the same boxes; where they are learned, none for a component that has lost all its rows."""
        lost = _column(statistics.weight == 0, self.low)
        return self if self.fixed else self._replace(low=self.low.masked_fill(lost, torch.nan))

    def settled(self, reduce: Reduce) -> Self:
        """Returns the least boxes around the rows that each one holds or is nearest to."""
        if self.fixed:
            return self
        found: _Extremes = reduce(self._extremes)
        held = (found.low <= found.high).all(-1, keepdim=True) if self.vectors else found.low <= found.high
        low, high = torch.where(held, found.low, self.low), torch.where(held, found.high, self.high)
        least = torch.nextafter(high, torch.full_like(high, torch.inf))  # a box on one number, which has collapsed
        return self._replace(low=low, high=torch.where(high > low, high, least))

    def _extremes(self, x: Tensor, weight: Tensor | None) -> _Extremes:
        few = max(1, _NUMBERS // self.low.numel())
        weights = [None] * len(x) if weight is None else weight.split(few)
        return reduce(add, (self._extremes_of(*pair) for pair in zip(x.split(few), weights, strict=False)))

    def _extremes_of(self, x: Tensor, weight: Tensor | None) -> _Extremes:
        rows = self._rows(self._shared(x))
        beyond = self._sum((self.low - rows).clamp_min(0) / self._width + (rows - self.high).clamp_min(0) / self._width)
        mine = beyond == beyond.amin(-1, keepdim=True)
        if weight is not None:
            mine = mine & (weight > 0).reshape(-1, *(1,) * (mine.ndim - 1))
        mine = mine.unsqueeze(-1) if self.vectors else mine
        return _Extremes(torch.where(mine, rows, torch.inf).amin(0), torch.where(mine, rows, -torch.inf).amax(0))

    @property
    def _width(self) -> Tensor:
        return self.high - self.low

    @property
    def mean(self) -> Tensor:
        return 0.5 * (self.low + self.high)

    @property
    def variance(self) -> Tensor:
        return (self.high - self.low).square() / 12

    def collapsed(self, floor: Tensor) -> Tensor:
        narrow = super().collapsed(floor)
        return torch.zeros_like(narrow) if self.fixed else narrow

    def _cdf(self, x: Tensor) -> Tensor:
        return ((x - self.low) / (self.high - self.low)).clamp(0, 1)

    def _survival(self, x: Tensor) -> Tensor:
        return ((self.high - x) / (self.high - self.low)).clamp(0, 1)

    @property
    def ends(self) -> tuple[Tensor, Tensor]:
        return self._sum(self.low), self._sum(self.high)

    def _draw(self, generator: Generator | None) -> Tensor:
        share = torch.rand(self.low.shape, dtype=self.dtype, device=self.device, generator=generator)
        return self.low + share * (self.high - self.low)


@dataclass(frozen=True, eq=False)
class _Extremes:
    """The least and the greatest row of each box, ``(*B, K, *event)``: a monoid."""

    low: Tensor
    high: Tensor

    def __add__(self, other: _Extremes) -> _Extremes:
        return _Extremes(torch.minimum(self.low, other.low), torch.maximum(self.high, other.high))


@dataclass(frozen=True, eq=False, repr=False)
class UniformFamily(Family, of=[Uniform]):
    """Uniform components.

    Arguments:
        low: The lower ends of one box for all, with shape ``(*event)``, where it is given.
        high: Its upper ends.
        fixed: Whether all have one box, that of the data where none is given; else each has the box of its rows.
    """

    low: Tensor | None = None
    high: Tensor | None = None
    fixed: bool = False
    vectors: bool = False

    @property
    def domain(self) -> Any:
        return constraints.real

    def shown(self) -> list[str]:
        return []

    def arguments(self, features: int | None) -> dict[str, Argument]:
        raise NotClosedForm("Uniform components have ends that are sharp: no slope of a likelihood leads to them.")

    def across(self, columns: int) -> Family:
        """Returns the family on some columns of a product, where other columns tell components apart."""
        return replace(self, fixed=True)

    def bind(self, rows: Any, summary: Any) -> Family:
        """Returns the family with the data's bounding box, where an end was not given."""
        low, high = (
            (summary.minimum if self.low is None else self.low),
            (summary.maximum if self.high is None else self.high),
        )
        given = self.fixed or self.low is not None or self.high is not None
        if not (given or rows.observation.exact):
            advice = "Give the ends: mx.Uniform.template(low=..., high=...)."
            refuse("family", "one whose parameters errors do not hide", "Uniform components of unknown ends", advice)
        return replace(self, low=low, high=high, fixed=given)

    def start(self, x: Tensor, r: Tensor) -> Uniform:
        low, high = self._ends(x, r.shape[1:])
        if not self.fixed:
            low, high = _boxes(x, r, low, high)
        return Uniform._of(low=low, high=high, fixed=self.fixed, vectors=x.ndim > 1)

    def _ends(self, x: Tensor, batch: torch.Size) -> tuple[Tensor, Tensor]:
        """The ends of the box around all rows, for each component."""
        low, high = (x.amin(0) if self.low is None else self.low), (x.amax(0) if self.high is None else self.high)
        shape = (*batch, *x.shape[1:])
        return low.to(x).expand(shape), high.to(x).expand(shape)


def _boxes(x: Tensor, r: Tensor, low: Tensor, high: Tensor) -> tuple[Tensor, Tensor]:
    """The boxes of clusters, none without width; in every second start the largest cluster's is that of all rows."""
    rows = x.reshape(len(x), *(1,) * (r.ndim - 1), *x.shape[1:])
    mine = r.reshape(*r.shape, *(1,) * (x.ndim - 1)) > 0
    least, most = torch.where(mine, rows, torch.inf).amin(0), torch.where(mine, rows, -torch.inf).amax(0)
    room = _ROOM * (high - low)
    least, most = torch.maximum(least - room, low), torch.minimum(most + room, high)
    every, weight = torch.arange(len(least), device=x.device), r.sum(0)
    around = (every % 2 == 1).unsqueeze(-1) & (weight == weight.amax(-1, keepdim=True))
    around = (around | (weight <= 0)).reshape(*weight.shape, *(1,) * (x.ndim - 1))
    return torch.where(around, low, least), torch.where(around, high, most)


_ROOM = 1e-3  # of the width of all rows, around the rows of a cluster
_NUMBERS = 2**18  # compared at a time
