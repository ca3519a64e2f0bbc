"""Families: what kind of components a fit is to learn, before there are numbers.

A component is a value: it has parameters. A family has none. It knows its settings, where rows may lie, how rows are
seen when starts are sought, and how components start from a first guess of responsibilities. ``mx.Poisson`` names a
family with no settings, and ``mx.Binomial.template(total_count=10)`` one with some.

A new family of components is one file: the component's class, and below it a class derived from `Family` with
``of=[TheComponent]``, so that the component's `template`, `mixtura.fit` and `mixtura.select` find it.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Hashable, Iterable, Mapping, Sequence
from dataclasses import dataclass, fields, replace
from typing import TYPE_CHECKING, Any, NoReturn, Self

import torch
from torch import Tensor
from torch.distributions import constraints

from ..errors import NotClosedForm, refuse
from ..kernels import Step
from .argument import Argument
from .domains import in_words, moved_inside

if TYPE_CHECKING:
    from ..data import Rows
    from ..data.faults import Faults
    from .base import Component
    from .covariance.structure import Structure

__all__ = ["Family", "LogView", "OfVectors", "StructuredFamily", "family", "given"]

_FAMILIES: dict[type, type[Family]] = {}


@dataclass(frozen=True, eq=False, repr=False)
class Family(ABC):
    """A kind of components that a fit can start from responsibilities, and its settings.

    Arguments:
        kind: The class of components. The fields of a derived class are the settings.

    Example:
        >>> class Spike(mx.components.Component):
        ...     ...
        >>> class SpikeFamily(mx.components.Family, of=[Spike]):
        ...     def start(self, x, r):
        ...         ...
        >>> Spike.template()
        Template(Spike)
    """

    kind: type[Component]

    def __init_subclass__(cls, of: Iterable[type] = (), **kwargs: Any) -> None:
        super().__init_subclass__(**kwargs)
        _FAMILIES.update(dict.fromkeys(of, cls))

    @abstractmethod
    def start(self, x: Tensor, r: Tensor) -> Component:
        """Returns components for rows ``(N, *event)`` and responsibilities ``(N, B, K)``, weights included."""

    # -- what it is called

    @property
    def name(self) -> str:
        """What a table of candidates calls it: the title, unless something shorter says as much."""
        return self.title

    @property
    def title(self) -> str:
        """The class of components and the settings that differ from their defaults."""
        shown = ", ".join(self.shown())
        return self.kind.__name__ + (f"({shown})" if shown else "")

    def shown(self) -> list[str]:
        """Returns the settings that differ from their defaults, in words."""
        given = [(field, getattr(self, field.name)) for field in fields(self) if field.name not in _UNSHOWN]
        return [f"{field.name}={value!r}" for field, value in given if value is not field.default]

    def settings(self) -> dict[str, Any]:
        """Returns the settings by name."""
        return {field.name: getattr(self, field.name) for field in fields(self) if field.name not in _UNSHOWN}

    def __repr__(self) -> str:
        return f"Template({self.title})"

    # -- which rows it takes, and how it sees them

    @property
    def domain(self) -> Any:
        """Where an entry of a row may lie, as a torch constraint."""
        return self.kind.domain

    def outside(self, x: Tensor) -> Tensor:
        """Tells which entries of rows, ``(..., *event)``, lie outside the family's support."""
        return ~self.domain.check(x)

    @property
    def everywhere(self) -> bool:
        """Whether all numbers are in the family's support, so that nobody need look at them."""
        return self.domain is constraints.real and type(self).outside is Family.outside

    def admitted(self, x: Tensor) -> Tensor:
        """Returns rows of which there is only a rough idea, with entries outside the support moved inside."""
        return moved_inside(x, self.domain)

    @property
    def expects(self) -> str:
        """What entries of a row must be, in words."""
        return in_words(self.domain)

    @property
    def discrete(self) -> bool:
        """Whether rows are whole numbers; a column may then hold the same one in every row."""
        return self.domain.is_discrete

    def embed(self, x: Tensor) -> Tensor:
        """Returns rows as vectors ``(N, F)`` in which nearness suggests one component: where starts are sought."""
        return x.reshape(len(x), -1)

    @property
    def view(self) -> Hashable:
        """What the family sees of rows when it looks for starts, which families of one view share; none if all."""
        return None if type(self).embed is Family.embed else (type(self).embed, self.name)

    @property
    def step(self) -> Step | None:
        """By which compiled M-steps for small tables know its Gaussians; none for other families."""
        return None

    # -- its parameters by name

    def arguments(self, features: int | None) -> dict[str, Argument]:
        """Returns the parameters of a component on numbers (none) or on vectors of so many features, by name.

        Raises:
            NotClosedForm: If the family does not state them.

        Example:
            >>> mx.Gaussian.template(structure=mx.Diagonal()).arguments(3)["scale"].shape
            (3,)
        """
        if not self.kind.arguments:
            raise NotClosedForm(f"{self.title} components have no parameters that are free to move one by one.")
        shape = () if features is None else (features,)
        return {name: Argument(support, shape) for name, support in self.kind.arguments.items()}

    def made(self, values: Mapping[str, Tensor], features: int | None) -> Component:
        """Returns components of parameters by name, ``(*B, K, ...)``, without a look at a number.

        Arguments:
            values: The parameters that `arguments` names.
            features: None for components on numbers.

        Example:
            >>> mx.Poisson.template().made({"rate": torch.tensor([1.0, 4.0])}, None).mean
            tensor([1., 4.])
        """
        names, tensors = list(values), torch.broadcast_tensors(*values.values())
        plain = {one.name: one.default for one in fields(self.kind)} | self._settings_of_kind()
        return self.kind._of(**plain | {"vectors": features is not None} | dict(zip(names, tensors, strict=True)))

    def _settings_of_kind(self) -> dict[str, Any]:
        """The settings that a component keeps as well."""
        kept = {one.name for one in fields(self.kind)}
        return {name: value for name, value in self.settings().items() if name in kept}

    def read(self, components: Any) -> dict[str, Tensor]:
        """Returns the parameters of components by name: what `made` takes.

        Example:
            >>> mx.Normal.template().read(mx.Normal(torch.zeros(2), torch.ones(2)))["scale"]
            tensor([1., 1.])
        """
        return {name: getattr(components, name) for name in self.kind.arguments}

    # -- what it takes from outside

    def structured(self, structure: Structure) -> Family:
        """Returns the family with a covariance structure, where it takes one and has none; else itself."""
        return self

    def bind(self, rows: Rows, summary: Any) -> Family:
        """Returns the family with what it takes from the data as a whole, such as columns by name."""
        return self

    @property
    def reads(self) -> tuple[str, ...] | None:
        """The columns of a table that it reads, by name, where it names them all; none where it takes what comes."""
        return None

    def among(self, rows: Rows, on: Sequence[int]) -> tuple[Self, tuple[int, ...]]:
        """Returns which columns of rows it describes where weights hang on some, and itself as numbered among these.

        Mostly these are all columns but those that weights hang on.
        """
        return self, tuple(column for column in range(rows.features) if column not in on)

    @property
    def covariates(self) -> list[int]:
        """The columns that it takes as given, once they are known by number: mostly none."""
        return []

    def clustered(self, clusters: Family) -> Family:
        """Returns what K-means learns in its place: clusters, unless they would say nothing of what it explains."""
        return clusters

    def inner(self) -> Family:
        """Returns the family as a part of another one; an error where it speaks of a whole mixture."""
        return self

    def across(self, columns: int) -> Family:
        """Returns the family for so many columns of a product: a family on numbers takes them as independent."""
        return self

    def guess(self, r: Tensor) -> Tensor:
        """Returns first responsibilities ``(N, B, K)`` with those of components that the family adds by itself."""
        return r

    def check(self, rows: Rows) -> None:
        """Refuses finite rows outside the family's support; the message names columns and the first rows to blame."""
        if self.everywhere:
            return
        found = rows.faults(self.outside)
        if found.count:
            self._refuse(rows, found)

    def _refuse(self, rows: Rows, found: Faults) -> NoReturn:
        places = "; ".join(f"row {one.row}, column {rows.named(one.column)}: {one.value:g}" for one in found.first)
        expected = f"{self.expects}, for {self.kind.__name__} components"
        advice = "Rows are counted from 0. Drop these rows or choose another family."
        refuse("x", expected, f"{places}{found.more}", advice)


_UNSHOWN = ("kind", "vectors")


@dataclass(frozen=True, eq=False, repr=False)
class StructuredFamily(Family):
    """A family with a covariance structure, that of the fit unless it has its own."""

    structure: Structure | None = None

    def structured(self, structure: Structure) -> Self:
        return replace(self, structure=structure) if self.structure is None else self

    def shown(self) -> list[str]:
        others = [one for one in super().shown() if not one.startswith("structure=")]
        return others if self.structure is None else [self.structure.name, *others]


class OfVectors(Family):
    """A family on vectors only."""

    def bind(self, rows: Rows, summary: Any) -> Family:
        if not rows.event_shape:
            refuse("x", f"a table of columns, for {self.kind.__name__} components", "one column of numbers")
        return super().bind(rows, summary)


class LogView(Family):
    """A family on positive numbers, whose starts are sought among their logarithms."""

    def embed(self, x: Tensor) -> Tensor:
        least = torch.finfo(x.dtype).tiny  # a row that something recorded may be zero, or what stands for it below
        return x.clamp_min(least).log().reshape(len(x), -1)


def given(one: type[Component] | Family) -> Family:
    """Returns the family that a user names by the class of components, or gives with settings."""
    return one if isinstance(one, Family) else one.template()


def family(kind: type[Component], **settings: Any) -> Family:
    """Returns the family of a class of components, with settings.

    Raises:
        MixtureError: If there is none, or it has no setting of that name.
    """
    found = next((_FAMILIES[one] for one in kind.__mro__ if one in _FAMILIES), None)
    if found is None:
        expected = "a class of components with a family, which says how to start"
        refuse("family", expected, kind.__name__, "Derive a class from mx.components.Family with `of=[...]`.")
    names = [field.name for field in fields(found) if field.name != "kind"]
    unknown = [name for name in settings if name not in names]
    if unknown:
        refuse("settings", f"among {', '.join(names) or 'none at all'}", ", ".join(unknown))
    return found(kind, **settings)
