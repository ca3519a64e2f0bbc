"""What a user says is to be learned, as families: a class, a template, a name, or a class of torch's."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any

from torch.distributions import Distribution

from .. import components as every
from ..components import Component, Family, Gaussian, Structure
from ..data import Rows, is_table
from ..errors import refuse

__all__ = ["asked_of", "families", "read_by"]


def families(family: Any, structures: Iterable[Structure]) -> list[Family]:
    """Returns the families to learn: one per structure where the family has one, else the family itself.

    Arguments:
        family: A class such as `Poisson`, a template, the name of a class, or none for Gaussians.
        structures: The covariance structures asked for.

    Raises:
        MixtureError: If there is no such family.
    """
    chosen = _family(family)
    found = [chosen.structured(one) for one in structures]
    return [chosen] if found[0] is chosen else found


def read_by(kinds: Iterable[Family], x: Any, columns: Any) -> Any:
    """Returns which columns of a table to read: those given, else those that a family names; of rows all are read."""
    if columns is not None or not is_table(x) or isinstance(x, Rows):
        return columns
    return next((one.reads for one in kinds if one.reads is not None), None)


def asked_of(options: Mapping[str, Any], x: Any, columns: Any) -> Any:
    """Returns which columns of a table to read for fits with these options."""
    return read_by([_family(options.get("family"))], x, columns)


def _family(family: Any) -> Family:
    if family is None or isinstance(family, Family):
        return family or Gaussian.template()
    family = getattr(every, family, family) if isinstance(family, str) else family
    if isinstance(family, type) and issubclass(family, Component):
        return family.template()
    if isinstance(family, type) and issubclass(family, Distribution):
        return every.TorchComponent.template(distribution=family)
    expected = "a family such as mx.Poisson, a class of torch distributions, or a template"
    refuse("family", expected, repr(family), "A template is, for instance, mx.Binomial.template(total_count=10).")
