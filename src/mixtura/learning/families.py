r"""Templates of families: what kind of components a fit is to learn, before it has any.

A template turns a first guess of responsibilities into components.
"""

from __future__ import annotations

from collections.abc import Hashable, Iterable
from dataclasses import dataclass
from typing import Any, Protocol, Self

import torch
from torch import Tensor
from torch.distributions import Distribution

from .. import components as every
from ..components import Component, Gaussian, Normal, Structure, Template
from ..data import Rows
from ..errors import refuse

__all__ = ["Family", "GaussianFamily", "NormalFamily", "families"]


class Family(Protocol):
    """A kind of component that a fit can start from responsibilities."""

    @property
    def name(self) -> str:
        """What a table of candidates calls it."""
        ...

    @property
    def view(self) -> Hashable:
        """Families of the same view share starting centres."""
        ...

    def embed(self, x: Tensor) -> Tensor:
        """Returns rows as vectors ``(N, F)`` in which nearness suggests one component."""
        ...

    def check(self, rows: Rows) -> None:
        """Refuses rows outside the family's support."""
        ...

    @property
    def discrete(self) -> bool:
        """Whether rows are whole numbers."""
        ...

    def bind(self, rows: Rows, summary: Any) -> Family:
        """Returns the family with what it takes from the data as a whole, such as columns by name."""
        ...

    def guess(self, r: Tensor) -> Tensor:
        """Returns first responsibilities ``(N, B, K)`` with those of components that the family adds by itself."""
        ...

    def start(self, x: Tensor, r: Tensor) -> Component:
        """Returns components for rows ``(N, *event)`` and responsibilities ``(N, B, K)``, weights included."""
        ...


class _Structured:
    """What families with a covariance structure have in common: any finite row will do, seen as it is."""

    structure: Structure
    view = None
    discrete = False

    @property
    def name(self) -> str:
        """The name of the covariance structure."""
        return self.structure.name

    def embed(self, x: Tensor) -> Tensor:
        """Returns the rows as vectors."""
        return x.reshape(len(x), -1)

    def check(self, rows: Rows) -> None:
        """Finds nothing to refuse."""

    def bind(self, rows: Rows, summary: Any) -> Self:
        """Returns the family itself."""
        return self

    def guess(self, r: Tensor) -> Tensor:
        """Returns the responsibilities as they are."""
        return r


@dataclass(frozen=True)
class GaussianFamily(_Structured):
    """Gaussians of a covariance structure."""

    structure: Structure

    def start(self, x: Tensor, r: Tensor) -> Gaussian:
        """Returns Gaussians at the centres of the responsibilities, with one shared starting covariance."""
        return Gaussian._of(location=None, structure=self.structure).start(x, r)


@dataclass(frozen=True)
class NormalFamily(_Structured):
    """Normal distributions on numbers, with a scale each or one shared."""

    structure: Structure

    def start(self, x: Tensor, r: Tensor) -> Normal:
        """Returns normals at the centres of the responsibilities, with one shared starting scale."""
        return Normal.of(GaussianFamily(self.structure).start(x.unsqueeze(-1), r))


def families(family: Any, structures: Iterable[Structure], event_shape: torch.Size) -> list[Family]:
    """Returns the families to learn: one per structure where the family has one, else the family itself.

    Arguments:
        family: A class such as `Poisson`, a template, the name of a class, or none for Gaussians.
        structures: The covariance structures asked for.
        event_shape: The shape of a row, for whether rows are numbers or vectors.

    Raises:
        MixtureError: If there is no such family.
    """
    chosen = _template(family)
    if chosen.blank.__class__ in (Gaussian, Normal):
        return [GaussianFamily(one) if event_shape else NormalFamily(one) for one in structures]
    blanks = [chosen.blank.structured(one) for one in structures]
    return [chosen] if blanks[0] is chosen.blank else [Template(blank) for blank in blanks]


def _template(family: Any) -> Template:
    if family is None or isinstance(family, Template):
        return family or Gaussian.template()
    family = getattr(every, family, family) if isinstance(family, str) else family
    if isinstance(family, type) and issubclass(family, Component):
        return family.template()
    if isinstance(family, type) and issubclass(family, Distribution):
        return every.TorchComponent.template(distribution=family)
    expected = "a family such as mx.Poisson, a class of torch distributions, or a template"
    refuse("family", expected, repr(family), "A template is, for instance, mx.Binomial.template(total_count=10).")
