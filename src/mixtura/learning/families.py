r"""Templates of families: what kind of components a fit is to learn, before it has any.

A template turns a first guess of responsibilities into components. Gaussians start with the pooled covariance of the
rows about their centres, blended with a little of the whole data's, which is never singular where the data are not.
"""

from __future__ import annotations

from collections.abc import Hashable, Iterable
from dataclasses import dataclass
from typing import Any, Protocol

import torch
from torch import Tensor

from .. import components as every
from ..components import Component, Gaussian, Normal, Structure, Template
from ..components.covariance import name
from ..data import Rows
from ..errors import refuse

__all__ = ["Family", "GaussianFamily", "NormalFamily", "families"]

_BLEND = 0.01  # how much of the total covariance is mixed into the first guess


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

    def start(self, x: Tensor, r: Tensor) -> Component:
        """Returns components for rows ``(N, *event)`` and responsibilities ``(N, B, K)``, weights included."""
        ...


class _Structured:
    """What families with a covariance structure have in common: any finite row will do, seen as it is."""

    structure: Structure
    view = None

    @property
    def name(self) -> str:
        """The name of the covariance structure."""
        return name(self.structure)

    def embed(self, x: Tensor) -> Tensor:
        """Returns the rows as vectors."""
        return x.reshape(len(x), -1)

    def check(self, rows: Rows) -> None:
        """Finds nothing to refuse."""


@dataclass(frozen=True)
class GaussianFamily(_Structured):
    """Gaussians of a covariance structure."""

    structure: Structure

    def start(self, x: Tensor, r: Tensor) -> Gaussian:
        """Returns Gaussians at the centres of the responsibilities, with one shared starting covariance."""
        weight = r.sum(0)
        origin = x.mean(0)
        mean = torch.einsum("nbk,nd->bkd", r, x - origin) / weight.clamp_min(torch.finfo(x.dtype).tiny).unsqueeze(-1)
        pooled = _pooled(x - origin, r, mean)
        one = 1 if self.structure.tied else mean.shape[-2]
        shared = pooled.unsqueeze(-3).expand(-1, one, -1, -1)
        return Gaussian._of(location=mean + origin, structure=self.structure.with_covariance(shared))


@dataclass(frozen=True)
class NormalFamily(_Structured):
    """Normal distributions on numbers, with a scale each or one shared."""

    structure: Structure

    def start(self, x: Tensor, r: Tensor) -> Normal:
        """Returns normals at the centres of the responsibilities, with one shared starting scale."""
        return Normal.of(GaussianFamily(self.structure).start(x.unsqueeze(-1), r))


def families(family: Any, structures: Iterable[Structure], rows: Rows) -> list[Family]:
    """Returns the families to learn: one per structure where the family has one, else the family itself.

    Arguments:
        family: A class such as `Poisson`, a template, the name of a class, or none for Gaussians.
        structures: The covariance structures asked for.
        rows: The rows, for whether they are numbers or vectors.

    Raises:
        MixtureError: If there is no such family.
    """
    chosen = _template(family)
    if chosen.blank.__class__ in (Gaussian, Normal):
        return [GaussianFamily(one) if rows.event_shape else NormalFamily(one) for one in structures]
    if "structure" in chosen.blank._fields() and chosen.blank._fields()["structure"] is None:
        return [Template(chosen.blank._replace(structure=one)) for one in structures]
    return [chosen]


def _template(family: Any) -> Template:
    family = getattr(every, family, None) if isinstance(family, str) else family
    if family is None or isinstance(family, Template):
        return family or Gaussian.template()
    if isinstance(family, type) and issubclass(family, Component):
        return family.template()
    refuse("family", "a family such as mx.Poisson, a template such as mx.Binomial.template(total_count=10)", family)


def _pooled(x: Tensor, r: Tensor, mean: Tensor) -> Tensor:
    """Returns the covariance about the centres, pooled over components, with shape ``(B, D, D)``."""
    row_weight = r.sum(-1)
    total = row_weight.sum(0)[:, None, None]
    middle = torch.einsum("nb,nd->bd", row_weight, x) / total.squeeze(-1)
    gap = x.unsqueeze(1) - middle
    whole = torch.einsum("nb,nbi,nbj->bij", row_weight, gap, gap) / total
    lag = mean - middle.unsqueeze(-2)
    between = torch.einsum("bk,bki,bkj->bij", r.sum(0), lag, lag) / total
    return (1 - _BLEND) * (whole - between) + _BLEND * whole
