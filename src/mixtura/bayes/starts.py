r"""Where draws and searches begin: near a fit, each apart by chance.

A maximum-likelihood fit of the same family is brought to where the priors live, and numbers between -1/2 and 1/2 are
added to it in u; smaller ones where that takes more than a nat from each row, as where components are narrow and far
apart, so that each stays with its rows. Where there is no such fit, or its density is zero, draws of the priors are
tried, the likeliest of many first.
"""

from __future__ import annotations

import math
from collections.abc import Iterator, Mapping
from itertools import permutations
from operator import itemgetter
from typing import TYPE_CHECKING, NoReturn

import torch
from torch import Generator, Tensor

from ..errors import MixtureError, refuse
from .first_fit import first_fit
from .prior_draws import prior_draws
from .supports import is_bounded
from .variables import Variable, log_prior

if TYPE_CHECKING:
    from .posterior import Posterior

__all__ = ["fitted", "start"]

_TRIES, _DRAWS = 20, 200
_FEW = 4  # components whose names are tried in all orders
_STRONG = 4.0  # of a probability, 0.98
_LEAST = 1e-3  # of a weight, so that a component that a fit lost can come back


def start(posterior: Posterior, generator: Generator | None) -> Tensor:
    """Returns real numbers ``(P,)`` of positive density; see `Posterior.start`."""
    enough, best = _enough(posterior), (-math.inf, None)
    for u in _candidates(posterior, generator):
        value, gradient = posterior.value_and_gradient(u)
        if bool(value.isfinite() & gradient.isfinite().all()):
            best = max(best, (value.item(), u), key=itemgetter(0))
        if best[0] >= enough and best[1] is not None:
            break
    return _refuse(posterior) if best[1] is None else best[1]


def _enough(posterior: Posterior) -> float:
    """The log-density of a start that is near enough to the fit: a nat a row less than there, any without one."""
    if posterior.centre is None:
        return -math.inf
    with torch.no_grad():
        there = float(posterior.log_density(posterior.centre))
    return there - posterior.rows.total_weight if math.isfinite(there) else -math.inf


def _candidates(posterior: Posterior, generator: Generator | None) -> Iterator[Tensor]:
    """Points ever nearer to the fit, then draws of the priors, the likeliest first."""
    if posterior.centre is not None:
        for turn in range(_TRIES):
            chance = torch.rand(posterior.size, generator=generator, dtype=torch.float64) - 0.5
            yield posterior.centre + chance * 0.6**turn
    draws = from_prior(posterior, _DRAWS, generator)
    with torch.no_grad():
        density = posterior.log_density(draws).nan_to_num(nan=-torch.inf)
    yield from draws[density.argsort(descending=True)[:_TRIES]]


def from_prior(posterior: Posterior, count: int, generator: Generator | None) -> Tensor:
    """Returns the real numbers ``(count, P)`` behind draws of the priors, in order where components have one."""
    values = posterior.in_order(prior_draws(posterior.variables, posterior.together, count, generator))
    return torch.cat([one.unconstrain(values[one.name]) for one in posterior.variables], -1)


def fitted(posterior: Posterior) -> Tensor | None:
    """Returns the real numbers behind a fit of the family to the rows, as far as the priors have them."""
    try:
        mixture = first_fit(posterior.rows, posterior.family, posterior.components)
    except MixtureError:  # it is only a start, and the priors have others
        mixture = None
    if mixture is None:
        return None
    weights = mixture.weights.double().clamp_min(_LEAST)
    values = {"weights": weights / weights.sum(), **posterior.family.read(mixture.components)}
    return _named({name: value.detach().double() for name, value in values.items()}, posterior)


@torch.no_grad()
def _named(values: dict[str, Tensor], posterior: Posterior) -> Tensor:
    """The real numbers behind a fit, whose components are named as priors and potentials have them best."""
    names = [range(posterior.components)]
    if posterior.order is None and not posterior.rows.possible.known and posterior.components <= _FEW:
        names = list(permutations(range(posterior.components)))
    every = [_real(posterior.in_order(_renamed(values, list(one))), posterior) for one in names]
    return max(every, key=lambda u: float(posterior.prepared(u)[1].nan_to_num(-torch.inf)))


def _renamed(values: Mapping[str, Tensor], names: list[int]) -> dict[str, Tensor]:
    """Values whose components have other names; those that components share as they are."""
    return {name: value[names] if len(value) == len(names) else value for name, value in values.items()}


def _real(values: Mapping[str, Tensor], posterior: Posterior) -> Tensor:
    return torch.cat([_behind(one, values) for one in posterior.variables])


def _behind(variable: Variable, values: Mapping[str, Tensor]) -> Tensor:
    """The real numbers behind a fitted value; zeros where it has none, or the prior none of it."""
    neutral = torch.zeros(variable.size, dtype=torch.float64)
    if variable.name not in values:
        return neutral
    found = variable.unconstrain(values[variable.name].expand(variable.shape))
    inside = found.clamp(-_STRONG, _STRONG) if is_bounded(variable.law.support) else found  # a fit may be at an end
    return inside if bool(inside.isfinite().all()) else neutral


def _refuse(posterior: Posterior) -> NoReturn:
    """Says what is in the way where no start has a density."""
    u = from_prior(posterior, 1, torch.Generator().manual_seed(0))[0] if posterior.centre is None else posterior.centre
    values, _ = posterior.prepared(u)
    walls = [one.label for one in posterior.potentials if not bool(one.log_prob(values, 0).isfinite())]
    priors = [one.name for one in posterior.variables if not bool(log_prior(one, values).isfinite())]
    blame = [f"the potential {one}" for one in walls] + [f"the prior of {one}" for one in priors] or ["the rows"]
    advice = "Near the data nothing else is allowed: move the wall or the prior, or give a bijection instead."
    refuse("potentials" if walls else "priors", "possible somewhere near the data", f"no start: {blame[0]}", advice)
