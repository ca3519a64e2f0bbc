r"""Weakly informative priors, scaled to the data.

A fit of one component says where the rows are and how wide: with its location m, its scale s and K components,

============================ ===================================================== ==========================
a parameter that is          has the prior                                         because
============================ ===================================================== ==========================
a location                   Normal(m, 2.5 s)                                      components lie among rows
a scale                      LogNormal(log(s / sqrt K), 1)                         parts are narrower; never 0
degrees of freedom           Gamma(2, 0.1)                                         Juárez and Steel (2010)
positive                     LogNormal(log v, 1.5), v that of one component        within a factor of 20
a probability, an angle      Uniform                                               uniform
probabilities of categories  Dirichlet(1, ..., 1)                                  uniform
correlations                 LKJ(2)                                                away from singular
weights                      Dirichlet(2, ..., 2)                                  away from empty components
============================ ===================================================== ==========================

A scale's prior vanishes at zero faster than any power: with repeated rows a density that is positive there makes the
posterior improper, for one component may shrink onto them.
"""

from __future__ import annotations

from collections.abc import Mapping
from math import sqrt
from typing import Any

import torch
from torch import Tensor
from torch.distributions import (
    Dirichlet,
    Distribution,
    Gamma,
    LKJCholesky,
    LogNormal,
    Normal,
    Uniform,
    constraints,
)

from ..components import Argument

__all__ = ["default_prior", "default_weights", "spread"]

_WIDE, _FAR = 2.5, 1.5


def default_weights(components: int) -> Distribution:
    """Returns the prior of weights."""
    return Dirichlet(torch.full((components,), 2.0, dtype=torch.float64))


def default_prior(
    name: str, argument: Argument, one: Mapping[str, Tensor], width: Tensor, components: int
) -> Distribution:
    """Returns the prior of a parameter.

    Arguments:
        name: What the family calls it.
        argument: Where it may lie.
        one: The parameters of one component that was fitted to all rows, ``(1, ...)``.
        width: How wide the rows are, by column.
        components: K.
    """
    value = one[name][0].double()
    if name.startswith("dof"):
        return Gamma(torch.full_like(value, 2.0), 0.1)
    if name.startswith("scale"):
        return LogNormal((value / sqrt(components)).log(), torch.ones_like(value))
    return _BY_SUPPORT[type(argument.support)](argument.support, value, spread(name, one, width))


def spread(name: str, one: Mapping[str, Tensor], width: Tensor) -> Tensor:
    """Returns the scale beside a location, by the same ending of the name; where there is none, how wide rows are."""
    parts = name.split("_", 1)
    beside = "_".join(["scale", *parts[1:]])
    value = one[name][0].double()
    if beside in one:
        return one[beside][0].double().expand(value.shape)
    return width.expand(value.shape) if width.shape in (value.shape, ()) else torch.ones_like(value)


def _location(support: Any, value: Tensor, spread: Tensor) -> Distribution:
    return Normal(value, _WIDE * spread)


def _positive(support: Any, value: Tensor, spread: Tensor) -> Distribution:
    return LogNormal(value.log(), torch.full_like(value, _FAR))


def _uniform(support: Any, value: Tensor, spread: Tensor) -> Distribution:
    low, high = (torch.full_like(value, end) for end in (support.lower_bound, support.upper_bound))
    return Uniform(low, high)


def _shares(support: Any, value: Tensor, spread: Tensor) -> Distribution:
    return Dirichlet(torch.ones_like(value))


def _correlation(support: Any, value: Tensor, spread: Tensor) -> Distribution:
    return LKJCholesky(value.shape[-1], torch.tensor(2.0, dtype=torch.float64))


_BY_SUPPORT = {
    type(constraints.real): _location,
    type(constraints.positive): _positive,
    type(constraints.unit_interval): _uniform,
    type(constraints.simplex): _shares,
    type(constraints.corr_cholesky): _correlation,
}
