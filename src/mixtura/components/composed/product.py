r"""Products of families over groups of columns: mixed tables of numbers, counts and categories.

Within a component the groups are independent, so log-densities add and every family learns from its own columns,

.. math:: \log p_k(x) = \sum_g \log p_k^{(g)}(x_g) .

Of categories alone this is latent class analysis; of normal columns alone, a diagonal Gaussian.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from itertools import chain
from operator import attrgetter
from typing import TYPE_CHECKING, Any, Self

import torch
from torch import Generator, Tensor
from torch.distributions import constraints

from ...errors import refuse
from ..argument import Argument
from ..base import Component
from ..family import Family, given
from ..spreading import spread_to
from ..statistics import Statistics

if TYPE_CHECKING:
    from ...data import Rows
    from ..covariance.structure import Structure

__all__ = ["Product", "expanded"]

Columns = tuple[Any, ...]  # numbers of columns; in a template, perhaps names


@dataclass(frozen=True, eq=False, repr=False, init=False)
class Product(Component):
    """K products of families, each on its own columns of vectors.

    Arguments:
        parts: Components on groups of columns, all with batch shape ``(*B, K)``.
        columns: For each part, the columns it describes: one for a family on numbers, as many as it has coordinates for
            one on vectors. Every column belongs to one part.

    A fit takes ``family=mx.Product.template((mx.Gaussian, [0, 1]), (mx.Categorical.template(categories=3), [2]))``,
    with numbers or names of columns.

    Raises:
        MixtureError: If parts do not fit together, or columns are missing or named twice.

    Example:
        >>> size = mx.Normal(torch.tensor([1.0, 5.0]), torch.tensor([1.0, 1.0]))
        >>> kind = mx.Bernoulli(torch.tensor([0.1, 0.8]))
        >>> mx.Product((size, kind), ((0,), (1,))).mean
        tensor([[1.0000, 0.1000],
                [5.0000, 0.8000]])
    """

    parts: tuple[Component, ...]
    columns: tuple[Columns, ...]

    def __init__(self, parts: Sequence[Component], columns: Sequence[Sequence[int]]) -> None:
        parts, groups = tuple(parts), tuple(tuple(group) for group in columns)
        widths = [part.event_shape.numel() for part in parts]
        if not parts or [len(group) for group in groups] != widths:
            refuse("columns", f"groups of {widths} columns", groups)
        if len({part.batch_shape for part in parts}) > 1:
            refuse("parts", "of one batch shape", [tuple(part.batch_shape) for part in parts])
        if any(part.gated for part in parts):
            refuse("parts", "components that are not gated", parts, "Gate the product.")
        _check_columns(groups, sum(widths))
        object.__setattr__(self, "parts", parts)
        object.__setattr__(self, "columns", groups)

    @classmethod
    def template(cls, *groups: tuple[Any, int | str | Iterable[int | str]], **settings: Any) -> Family:
        """Returns a product of families as a fit takes it.

        Arguments:
            groups: Pairs of a family (a class or a template) and the columns it is to describe, by number or name. A
                family on numbers describes several columns as independent ones.

        Example:
            >>> mx.Product.template((mx.Normal, "mass"), (mx.Poisson, ["eggs", "chicks"])).columns
            (('mass',), ('eggs', 'chicks'))
        """
        parts = tuple(given(one).inner() for one, _ in groups)
        columns = tuple((which,) if isinstance(which, (int, str)) else tuple(which) for _, which in groups)
        return ProductFamily(cls, parts, columns)

    def verify(self) -> None:
        super().verify()
        Product(self.parts, self.columns)

    # -- what it is

    @property
    def batch_shape(self) -> torch.Size:
        return self.parts[0].batch_shape

    @property
    def event_shape(self) -> torch.Size:
        return torch.Size([sum(len(group) for group in self.columns)])

    @property
    def parameters(self) -> int:
        return sum(part.parameters for part in self.parts)

    @property
    def factors(self) -> tuple[Any, ...]:
        return self.parts

    @property
    def support(self) -> Any:
        supports: list[Any] = [constraints.real] * self.event_shape[0]
        for part, group in zip(self.parts, self.columns, strict=True):
            for column in group:
                supports[int(column)] = getattr(part.support, "base_constraint", part.support)
        return constraints.stack(supports, -1)

    @property
    def remark(self) -> str:
        return " ".join(part.remark for part in self.parts if part.remark)

    @property
    def mean(self) -> Tensor:
        return self._assembled(lambda part: part.mean)

    @property
    def variance(self) -> Tensor:
        return self._assembled(lambda part: part.variance)

    @property
    def covariance(self) -> Tensor:
        out = torch.diag_embed(self.variance)
        for part, group in zip(self.parts, self.columns, strict=True):
            if part.event_shape:
                index = torch.tensor(group, device=out.device)
                out[..., index.unsqueeze(-1), index] = part.covariance
        return out

    # -- density and draws

    def log_prob(self, x: Tensor) -> Tensor:
        first, *others = (part.log_prob(rows) for part, rows in self._each(x))
        return sum(others, first)

    def draw(self, labels: Tensor, generator: Generator | None = None) -> Tensor:
        out = torch.empty(*labels.shape, *self.event_shape, dtype=self.dtype, device=self.device)
        for part, group in zip(self.parts, self.columns, strict=True):
            drawn = part.draw(labels, generator)
            out[..., list(group)] = drawn if part.event_shape else drawn.unsqueeze(-1)
        return out

    # -- learning

    def statistics(self, x: Tensor, r: Tensor) -> tuple[Tensor, ...]:
        """Returns the sums of all parts, one after another."""
        return tuple(moment for part, rows in self._each(x) for moment in part.statistics(rows, r))

    def update(self, statistics: Statistics, prior: Any = None) -> Self:
        return self._updated(attrgetter("update"), statistics, prior)

    @property
    def bold(self) -> bool:
        return any(part.bold for part in self.parts)

    def cautious(self, statistics: Statistics, prior: Any = None) -> Self:
        return self._updated(attrgetter("cautious"), statistics, prior)

    def _updated(self, asked: attrgetter[Callable[..., Component]], statistics: Statistics, prior: Any) -> Self:
        priors = (None,) * len(self.parts) if prior is None else prior.of_parts(len(self.parts))
        sums = self.split(statistics)
        updated = (asked(part)(one, law) for part, one, law in zip(self.parts, sums, priors, strict=True))
        return self._replace(parts=tuple(updated))

    @property
    def sums_add(self) -> bool:
        return all(part.sums_add for part in self.parts)

    def sums_units(self, statistics: Statistics) -> tuple[Tensor, ...]:
        parts = zip(self.parts, self.split(statistics), strict=True)
        return tuple(unit for part, sums in parts for unit in part.sums_units(sums))

    def split(self, statistics: Statistics) -> list[Statistics]:
        """Returns the sums of each part."""
        left, found = list(statistics.moments), []
        x = torch.zeros(0, *self.event_shape, dtype=self.dtype, device=self.device)
        r = x.new_zeros(0, *self.batch_shape)
        for part, rows in self._each(x):
            count = len(part.statistics(rows, r))
            found.append(Statistics(statistics.log_likelihood, statistics.weight, tuple(left[:count])))
            left = left[count:]
        return found

    # -- holding parameters

    @property
    def shares(self) -> bool:
        return any(part.shares for part in self.parts)

    def untied(self) -> Self:
        return self._replace(parts=tuple(part.untied() for part in self.parts))

    @property
    def holds_moments(self) -> bool:
        return any(part.holds_moments for part in self.parts)

    def holding_means(self, statistics: Statistics) -> Statistics:
        pairs = zip(self.parts, self.split(statistics), strict=True)
        held = (part.holding_means(sums).moments for part, sums in pairs)
        return Statistics(statistics.log_likelihood, statistics.weight, tuple(chain.from_iterable(held)))

    def with_moments_of(self, old: Self, means: bool, covariances: bool) -> Self:
        pairs = zip(self.parts, old.parts, strict=True)
        return self._replace(parts=tuple(part.with_moments_of(other, means, covariances) for part, other in pairs))

    def with_frozen(self, old: Self, free: Tensor) -> Self:
        pairs = zip(self.parts, old.parts, strict=True)
        return self._replace(parts=tuple(part.with_frozen(other, free) for part, other in pairs))

    def held_parameters(self, frozen: Sequence[int], means: bool, covariances: bool) -> int:
        return sum(part.held_parameters(frozen, means, covariances) for part in self.parts)

    def collapsed(self, floor: Tensor) -> Tensor:
        groups = zip(self.parts, self.columns, strict=True)
        narrow = [part.collapsed(floor[list(group)] if part.event_shape else floor[group[0]]) for part, group in groups]
        return torch.stack(narrow).any(0)

    # -- algebra

    def marginal(self, dims: Sequence[int]) -> Component:
        wanted, parts, columns = list(dims), [], []
        for part, group in zip(self.parts, self.columns, strict=True):
            kept = [one for one in wanted if one in group]
            if kept:
                parts.append(part.marginal([group.index(one) for one in kept]) if part.event_shape else part)
                columns.append(tuple(wanted.index(one) for one in kept))
        return self._of(parts=tuple(parts), columns=tuple(columns))

    def condition(self, dims: Sequence[int], values: Tensor) -> tuple[Component, Tensor]:
        known, parts, columns, evidence = list(dims), [], [], torch.zeros((), dtype=self.dtype)
        free = [d for d in range(self.event_shape[0]) if d not in known]
        for part, group in zip(self.parts, self.columns, strict=True):
            given = [one for one in known if one in group]
            at = values[..., [known.index(one) for one in given]]
            if given and len(given) < len(group):
                part, density = part.condition([group.index(one) for one in given], at)
                evidence = evidence + density
            elif given:
                order = [given.index(one) for one in group]
                evidence = evidence + part.log_prob(at[..., order] if part.event_shape else at.squeeze(-1))
                continue
            parts.append(part)
            columns.append(tuple(free.index(int(one)) for one in group if one not in given))
        return self._of(parts=tuple(expanded(parts, evidence)), columns=tuple(columns)), evidence

    # -- inside

    def _each(self, x: Tensor) -> Iterable[tuple[Component, Tensor]]:
        for part, group in zip(self.parts, self.columns, strict=True):
            yield part, x[..., list(group)] if part.event_shape else x[..., group[0]]

    def _assembled(self, read: Any) -> Tensor:
        out = torch.empty(*self.batch_shape, *self.event_shape, dtype=self.dtype, device=self.device)
        for part, group in zip(self.parts, self.columns, strict=True):
            out[..., list(group)] = read(part) if part.event_shape else read(part).unsqueeze(-1)
        return out


@dataclass(frozen=True, eq=False, repr=False)
class ProductFamily(Family):
    """A product of families, each on its own columns."""

    parts: tuple[Family, ...]
    columns: tuple[Columns, ...]

    @property
    def title(self) -> str:
        """The titles of the parts."""
        return " x ".join(part.title for part in self.parts)

    @property
    def discrete(self) -> bool:
        """Whether all columns are whole numbers."""
        return all(part.discrete for part in self.parts)

    @property
    def expects(self) -> str:
        groups = zip(self.parts, self.columns, strict=True)
        return "; ".join(f"{part.expects} in column {', '.join(map(str, group))}" for part, group in groups)

    def outside(self, x: Tensor) -> Tensor:
        out = torch.zeros_like(x, dtype=torch.bool)
        for part, group in zip(self.parts, self.columns, strict=True):
            out[..., list(group)] = part.outside(x[..., list(group)])
        return out

    def embed(self, x: Tensor) -> Tensor:
        groups = zip(self.parts, self.columns, strict=True)
        return torch.cat([part.embed(x[:, list(group)]) for part, group in groups], -1)

    def structured(self, structure: Structure) -> Family:
        parts = tuple(part.structured(structure) for part in self.parts)
        same = all(new is old for new, old in zip(parts, self.parts, strict=True))
        return self if same else replace(self, parts=parts)

    def bind(self, rows: Rows, summary: Any) -> Family:
        """Returns the family with columns by number, checked against those of the rows."""
        if not rows.event_shape:
            refuse("x", "a table of columns, for a product of families", "one column of numbers")
        columns = tuple(tuple(map(rows.number, group)) for group in self.columns)
        _check_columns(columns, rows.features)
        groups = zip(self.parts, columns, strict=True)
        parts = tuple(
            part.across(len(group)).bind(rows.only(group), summary.of(_index(group))) for part, group in groups
        )
        return replace(self, parts=parts, columns=columns)

    def check(self, rows: Rows) -> None:
        super().check(rows)
        for part, group in zip(self.parts, self.columns, strict=True):
            part.check(rows.only(group))

    def among(self, rows: Rows, on: Sequence[int]) -> tuple[Self, tuple[int, ...]]:
        groups = [[rows.number(one) for one in group] for group in self.columns]
        own = sorted({*chain.from_iterable(groups)})
        return replace(self, columns=tuple(tuple(map(own.index, group)) for group in groups)), tuple(own)

    def arguments(self, features: int | None) -> dict[str, Argument]:
        """Returns the parameters of the parts, each with the numbers of its columns behind its name."""
        groups = zip(self.parts, self.columns, strict=True)
        return {
            f"{name}_{_label(group)}": one
            for part, group in groups
            for name, one in part.arguments(_width(group)).items()
        }

    def made(self, values: Mapping[str, Tensor], features: int | None) -> Product:
        groups = zip(self.parts, self.columns, strict=True)
        parts = tuple(part.made(_own(values, part, group), _width(group)) for part, group in groups)
        return Product._of(parts=parts, columns=self.columns)

    def read(self, components: Any) -> dict[str, Tensor]:
        parts = zip(self.parts, components.parts, self.columns, strict=True)
        return {f"{name}_{_label(group)}": one for part, own, group in parts for name, one in part.read(own).items()}

    def start(self, x: Tensor, r: Tensor) -> Product:
        groups = zip(self.parts, self.columns, strict=True)
        parts = tuple(part.start(_group(x, group), r) for part, group in groups)
        return Product._of(parts=parts, columns=self.columns)


def _label(group: Columns) -> str:
    """What follows the name of a part's parameter."""
    return "_".join(map(str, group))


def _width(group: Columns) -> int | None:
    """The features of a part: none of one column, which holds numbers."""
    return None if len(group) == 1 else len(group)


def _own(values: Mapping[str, Tensor], part: Family, group: Columns) -> dict[str, Tensor]:
    """The parameters of one part, by its own names."""
    return {name: values[f"{name}_{_label(group)}"] for name in part.arguments(_width(group))}


def _group(x: Tensor, group: Columns) -> Tensor:
    return x[:, _index(group)]


def _index(group: Sequence[Any]) -> Any:
    """What selects a group's columns: of one column, numbers."""
    return group[0] if len(group) == 1 else list(group)


def _check_columns(groups: Sequence[Columns], features: int) -> None:
    listed = [one for group in groups for one in group]
    if sorted(map(str, listed)) != sorted(map(str, range(features))):
        refuse("columns", f"each of the columns 0 to {features - 1} in exactly one group", listed)


def expanded(parts: list[Component], evidence: Tensor) -> list[Component]:
    """Broadcasts parts that were not conditioned against those that now have a sample's batch shape."""
    return [part if part.batch_shape == evidence.shape else spread_to(part, evidence.shape) for part in parts]
