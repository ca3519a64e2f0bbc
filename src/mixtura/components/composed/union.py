r"""Components of one family beside components of another, such as a uniform one that takes the outliers.

The components of both are numbered through; each family reads its own responsibilities and updates itself, so
likelihood and statistics are simply side by side. A uniform component beside a family is the noise model of Banfield
and Raftery (1993)."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any, Self

import torch
from torch import Generator, Tensor

from ...errors import refuse
from ..base import Component
from ..family import Family, given
from ..statistics import Statistics
from ..uniform import Uniform

if TYPE_CHECKING:
    from ...data import Rows
    from ..covariance.structure import Structure

__all__ = ["Beside"]

_NOISE = 0.05  # the share of every row that a first guess gives to the second family


@dataclass(frozen=True, eq=False, repr=False, init=False)
class Beside(Component):
    """Components of two families on the same rows, numbered through.

    Arguments:
        first: The first components, with batch shape ``(*B, K1)``.
        second: The others, with batch shape ``(*B, K2)``.

    `with_noise` makes the template of a family beside one uniform component over the data's bounding box. There, the
    number of components given to `fit` is that of the family; the mixture has one more, the last.

    Raises:
        MixtureError: If the families are not on the same rows.

    Example:
        >>> peak = mx.Normal(torch.tensor([0.0]), torch.tensor([0.1]))
        >>> mx.Beside(peak, mx.Uniform(torch.tensor([-5.0]), torch.tensor([5.0]))).log_prob(torch.tensor(3.0)).exp()
        tensor([0.0000, 0.1000])
    """

    first: Component
    second: Component
    places: tuple[int, ...] | None = None  # where component k stands among those of first and second; in order if none

    def __init__(self, first: Component, second: Component) -> None:
        if first.event_shape != second.event_shape or first.batch_shape[:-1] != second.batch_shape[:-1]:
            refuse("second", f"components on rows of shape {tuple(first.event_shape)}", repr(second))
        if first.gated or second.gated:
            refuse("first", "components that are not gated, as the others", (first, second), "Gate the union.")
        for name, value in (("first", first), ("second", second), ("places", None)):
            object.__setattr__(self, name, value)

    @classmethod
    def with_noise(cls, family: Any, low: Tensor | None = None, high: Tensor | None = None) -> Any:
        """Returns the template of a family beside one uniform component for outliers.

        Arguments:
            family: A class such as `Gaussian`, or a template.
            low: The lower ends of the box, with shape ``(*event)``; those of the data if none are given.
            high: Its upper ends.

        Example:
            >>> x = torch.cat([torch.linspace(-0.1, 0.1, 50), torch.tensor([-4.0, -2.0, 3.0, 5.0])])
            >>> fit = mx.fit(x, 1, family=mx.Beside.with_noise(mx.Normal))
            >>> fit.mixture.assign(torch.tensor([0.0, 4.0]))
            tensor([0, 1])
        """
        return BesideFamily(cls, given(family).inner(), Uniform.template(low=low, high=high, fixed=True))

    def verify(self) -> None:
        super().verify()
        Beside(self.first, self.second)
        if self.places is not None and sorted(self.places) != list(range(self.batch_shape[-1])):
            refuse("places", f"the numbers 0 to {self.batch_shape[-1] - 1} in some order", self.places)

    @property
    def batch_shape(self) -> torch.Size:
        *batch, one = self.first.batch_shape
        return torch.Size([*batch, one + self.second.batch_shape[-1]])

    @property
    def event_shape(self) -> torch.Size:
        return self.first.event_shape

    @property
    def parameters(self) -> int:
        return self.first.parameters + self.second.parameters

    @property
    def support(self) -> Any:
        return self.first.support

    @property
    def remark(self) -> str:
        return " ".join(part.remark for part in (self.first, self.second) if part.remark)

    @property
    def mean(self) -> Tensor:
        return self._joined(self.first.mean, self.second.mean)

    @property
    def variance(self) -> Tensor:
        return self._joined(self.first.variance, self.second.variance)

    @property
    def covariance(self) -> Tensor:
        return self._joined(self.first.covariance, self.second.covariance)

    def log_prob(self, x: Tensor) -> Tensor:
        return self._through(torch.cat([self.first.log_prob(x), self.second.log_prob(x)], -1), -1)

    def cdf(self, x: Tensor) -> Tensor:
        return self._through(torch.cat([self.first.cdf(x), self.second.cdf(x)], -1), -1)

    def survival(self, x: Tensor) -> Tensor:
        return self._through(torch.cat([self.first.survival(x), self.second.survival(x)], -1), -1)

    @property
    def ends(self) -> tuple[Tensor, Tensor]:
        low, high = (torch.cat(pair, -1) for pair in zip(self.first.ends, self.second.ends, strict=True))
        return self._through(low, -1), self._through(high, -1)

    def draw(self, labels: Tensor, generator: Generator | None = None) -> Tensor:
        size = self.first.batch_shape[-1]
        place = labels if self.places is None else torch.tensor(self.places, device=labels.device)[labels]
        one = self.first.draw(place.clamp_max(size - 1), generator)
        other = self.second.draw((place - size).clamp_min(0), generator)
        mine = (place < size).reshape(place.shape + (1,) * len(self.event_shape))
        return torch.where(mine, one, other)

    def statistics(self, x: Tensor, r: Tensor) -> tuple[Tensor, ...]:
        """Returns the sums of the first family, then those of the second."""
        one, other = self._split(r)
        return *self.first.statistics(x, one), *self.second.statistics(x, other)

    @property
    def core(self) -> Component:
        """The first family's components."""
        return self.first.core

    def update(self, statistics: Statistics, prior: Any = None) -> Self:
        """Updates both; a prior is on the first family's components."""
        one, other = self._sums(statistics)
        return self._replace(first=self.first.update(one, prior), second=self.second.update(other))

    @property
    def bold(self) -> bool:
        return self.first.bold or self.second.bold

    def cautious(self, statistics: Statistics, prior: Any = None) -> Self:
        one, other = self._sums(statistics)
        return self._replace(first=self.first.cautious(one, prior), second=self.second.cautious(other))

    def _sums(self, statistics: Statistics) -> tuple[Statistics, Statistics]:
        """The sums of each family."""
        weights = self._split(statistics.weight)
        count = len(self.first.statistics(*self._no_rows()))
        moments = statistics.moments[:count], statistics.moments[count:]
        one, other = (Statistics(statistics.log_likelihood, *pair) for pair in zip(weights, moments, strict=True))
        return one, other

    # -- holding parameters

    @property
    def shares(self) -> bool:
        return self.first.shares or self.second.shares

    def untied(self) -> Self:
        return self._replace(first=self.first.untied(), second=self.second.untied())

    @property
    def holds_moments(self) -> bool:
        return self.first.holds_moments or self.second.holds_moments

    def holding_means(self, statistics: Statistics) -> Statistics:
        one, other = self._sums(statistics)
        moments = self.first.holding_means(one).moments + self.second.holding_means(other).moments
        return Statistics(statistics.log_likelihood, statistics.weight, moments)

    def with_moments_of(self, old: Self, means: bool, covariances: bool) -> Self:
        first = self.first.with_moments_of(old.first, means, covariances)
        return self._replace(first=first, second=self.second.with_moments_of(old.second, means, covariances))

    def with_frozen(self, old: Self, free: Tensor) -> Self:
        one, other = self._split(free)
        first = self.first.with_frozen(old.first, one)
        return self._replace(first=first, second=self.second.with_frozen(old.second, other))

    def held_parameters(self, frozen: Sequence[int], means: bool, covariances: bool) -> int:
        size, places = self.first.batch_shape[-1], self.places or range(self.batch_shape[-1])
        mine = [places[k] for k in frozen if places[k] < size]
        theirs = [places[k] - size for k in frozen if places[k] >= size]
        first = self.first.held_parameters(mine, means, covariances)
        return first + self.second.held_parameters(theirs, means, covariances)

    def collapsed(self, floor: Tensor) -> Tensor:
        return self._through(torch.cat([self.first.collapsed(floor), self.second.collapsed(floor)], -1), -1)

    def take(self, index: Any) -> Self:
        size = self.first.batch_shape[-1]
        every = list(range(self.batch_shape[-1])) if self.places is None else list(self.places)
        chosen = torch.tensor(every)[index].reshape(-1).tolist()
        mine, theirs = [k for k in chosen if k < size], [k - size for k in chosen if k >= size]
        if not mine or not theirs:
            alone = self.first.take(mine) if mine else self.second.take(theirs)
            return alone  # type: ignore[return-value]
        order, left, right = [], 0, len(mine)
        for k in chosen:
            order.append(left if k < size else right)
            left, right = left + (k < size), right + (k >= size)
        return self._replace(first=self.first.take(mine), second=self.second.take(theirs), places=tuple(order))

    def reordered(self, order: Tensor) -> Self:
        """Returns a batch ``(B, K)`` with entry b's components in the order ``order[b]``.

        Raises:
            MixtureError: If a place would be of one family in one entry and of the other in another.
        """
        size, place = self.first.batch_shape[-1], self._places.to(order.device)[order]
        mine = place < size
        if not bool((mine == mine[0]).all()):
            refuse("order", "of the same family at every place in all entries", order.tolist())
        first = self.first.reordered(place[:, mine[0]])
        second = self.second.reordered(place[:, ~mine[0]] - size)
        rank = torch.where(mine[0], mine[0].cumsum(0) - 1, size + (~mine[0]).cumsum(0) - 1)
        return self._replace(first=first, second=second, places=tuple(rank.tolist()))

    def flattened(self) -> Self:
        size, other, entries = self.first.batch_shape[-1], self.second.batch_shape[-1], self.batch_shape[0]
        entry, place = torch.arange(entries).unsqueeze(-1), self._places
        flat = torch.where(place < size, entry * size + place, entries * size + entry * other + place - size)
        first, second = self.first.flattened(), self.second.flattened()
        return self._replace(first=first, second=second, places=tuple(flat.flatten().tolist()))

    @property
    def _places(self) -> Tensor:
        """Where each component stands among those of first and second, ``(K,)``."""
        return torch.tensor(self.places or range(self.batch_shape[-1]))

    def marginal(self, dims: Sequence[int]) -> Self:
        return self._replace(first=self.first.marginal(dims), second=self.second.marginal(dims))

    def _joined(self, one: Tensor, other: Tensor) -> Tensor:
        return self._through(torch.cat([one, other], len(self.batch_shape) - 1), len(self.batch_shape) - 1)

    def _through(self, values: Tensor, axis: int) -> Tensor:
        """Puts what is in the order of first and second into that of the components."""
        if self.places is None:
            return values
        return values.index_select(axis, torch.tensor(self.places, device=values.device))

    def _split(self, values: Tensor) -> tuple[Tensor, Tensor]:
        if self.places is not None:
            back = torch.tensor(self.places, device=values.device).argsort()
            values = values.index_select(-1, back)
        size = self.first.batch_shape[-1]
        return values[..., :size], values[..., size:]

    def _no_rows(self) -> tuple[Tensor, Tensor]:
        x = torch.zeros(0, *self.event_shape, dtype=self.dtype, device=self.device)
        return x, x.new_zeros(0, *self.first.batch_shape)


@dataclass(frozen=True, eq=False, repr=False)
class BesideFamily(Family, of=[Beside]):
    """A family beside one component of another; rows are those of the first."""

    first: Family
    second: Family

    @property
    def title(self) -> str:
        """The titles of both."""
        return f"{self.first.title} + {self.second.kind.__name__}"

    @property
    def discrete(self) -> bool:
        return self.first.discrete

    @property
    def expects(self) -> str:
        return self.first.expects

    @property
    def reads(self) -> tuple[str, ...] | None:
        return self.first.reads

    def clustered(self, clusters: Family) -> Family:
        return self.first.clustered(clusters)

    def outside(self, x: Tensor) -> Tensor:
        return self.first.outside(x)

    def embed(self, x: Tensor) -> Tensor:
        return self.first.embed(x)

    def structured(self, structure: Structure) -> Family:
        first = self.first.structured(structure)
        return self if first is self.first else replace(self, first=first)

    def among(self, rows: Rows, on: Sequence[int]) -> tuple[Self, tuple[int, ...]]:
        first, own = self.first.among(rows, on)
        return replace(self, first=first), own

    def bind(self, rows: Rows, summary: Any) -> Family:
        """Returns the family with both bound to the data."""
        return replace(self, first=self.first.bind(rows, summary), second=self.second.bind(rows, summary))

    def guess(self, r: Tensor) -> Tensor:
        """Gives a little of every row to the second family's one component."""
        return torch.cat([(1 - _NOISE) * r, _NOISE * r.sum(-1, keepdim=True)], -1)

    def start(self, x: Tensor, r: Tensor) -> Beside:
        first, second = self.first.start(x, r[..., :-1]), self.second.start(x, r[..., -1:])
        return Beside._of(first=first, second=second, places=None)
