r"""The uniform family on boxes: what outliers look like, whatever their origin.

.. math:: \log p(x) = -\sum_d \log(h_d - l_d) \quad\text{for } l \le x \le h .

Its box is given, or is that of the data; it is not learned.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import Any, ClassVar, Self

import torch
from torch import Generator, Tensor
from torch.distributions import constraints

from ..errors import refuse
from .coordinates import Coordinates
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

    Raises:
        MixtureError: If an upper end is not above its lower end.

    Example:
        >>> mx.Uniform(torch.tensor([0.0, -1.0]), torch.tensor([4.0, 1.0])).log_prob(torch.tensor(3.0)).exp()
        tensor([0.2500, 0.0000])
    """

    arguments: ClassVar = {"low": constraints.real, "high": constraints.real}
    low: Tensor
    high: Tensor

    def __init__(self, low: Tensor, high: Tensor, *, vectors: bool = False) -> None:
        self._seal(vectors, low=low, high=high)
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
        """None: the box is given."""
        return 0

    def log_prob(self, x: Tensor) -> Tensor:
        rows = self._rows(x)
        inside = (rows >= self.low) & (rows <= self.high)
        density = self._sum((-(self.high - self.low).log()).masked_fill(~inside, -torch.inf))
        return self._within(density, x, x.isnan())

    def statistics(self, x: Tensor, r: Tensor) -> tuple[Tensor, ...]:
        """Returns nothing: there is nothing to learn."""
        return ()

    def update(self, statistics: Statistics, prior: Any = None) -> Self:
        return self

    @property
    def mean(self) -> Tensor:
        return 0.5 * (self.low + self.high)

    @property
    def variance(self) -> Tensor:
        return (self.high - self.low).square() / 12

    def collapsed(self, floor: Tensor) -> Tensor:
        return torch.zeros(self.batch_shape, dtype=torch.bool, device=self.device)

    def _cdf(self, x: Tensor) -> Tensor:
        return ((x - self.low) / (self.high - self.low)).clamp(0, 1)

    def _survival(self, x: Tensor) -> Tensor:
        return ((self.high - x) / (self.high - self.low)).clamp(0, 1)

    @property
    def ends(self) -> tuple[Tensor, Tensor]:
        return self.low, self.high

    def _draw(self, generator: Generator | None) -> Tensor:
        share = torch.rand(self.low.shape, dtype=self.dtype, device=self.device, generator=generator)
        return self.low + share * (self.high - self.low)


@dataclass(frozen=True, eq=False, repr=False)
class UniformFamily(Family, of=[Uniform]):
    """Uniform components on one box.

    Arguments:
        low: The lower ends, with shape ``(*event)``; those of the data if none are given.
        high: Its upper ends.
    """

    low: Tensor | None = None
    high: Tensor | None = None
    vectors: bool = False

    @property
    def domain(self) -> Any:
        return constraints.real

    def shown(self) -> list[str]:
        return []

    def bind(self, rows: Any, summary: Any) -> Family:
        """Returns the family with the data's bounding box, where none was given."""
        if self.low is not None and self.high is not None:
            return self
        return replace(self, low=summary.minimum, high=summary.maximum)

    def start(self, x: Tensor, r: Tensor) -> Uniform:
        low, high = self.low, self.high
        if low is None or high is None:
            low, high = x.amin(0), x.amax(0)
        shape = (*r.shape[1:], *x.shape[1:])
        return Uniform._of(low=low.to(x).expand(shape), high=high.to(x).expand(shape), vectors=x.ndim > 1)
