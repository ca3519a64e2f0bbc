r"""Components that trade places: when the posterior stays what it is, and what becomes of points u.

A permutation of components moves all that belongs to them. In u it keeps volumes, because every component has the same
bijections, and weights have one that treats all alike.
"""

from __future__ import annotations

from dataclasses import dataclass
from itertools import permutations

import torch
from torch import Tensor

from ..learning.results.relabel import matching
from .posterior import Posterior, reordered
from .prior_draws import exchangeable, prior_draws
from .variables import traded

__all__ = ["Trade", "symmetric"]

_DRAWS = 100


@dataclass(frozen=True, eq=False)
class Trade:
    """The permutations of the components of a posterior whose labels are free.

    Arguments:
        posterior: The posterior.
    """

    posterior: Posterior

    def images(self, u: Tensor) -> Tensor:
        """Returns points ``(S, P)`` under every permutation, ``(K!, S, P)``."""
        orders = permutations(range(self.posterior.components))
        values = self.posterior.constrain(u)
        return torch.stack([self._moved(values, torch.tensor(order).expand(len(u), -1)) for order in orders])

    def relabelled(self, draws: Tensor) -> Tensor:
        """Returns draws ``(chains, draws, P)`` with components in the places in which they agree with each other."""
        u = draws.reshape(-1, draws.shape[-1])
        values = self.posterior.constrain(u)
        features = torch.cat([_feature(values[name]) for name in self.posterior.of_components], -1)
        return self._moved(values, matching(features)).reshape(draws.shape)

    def _moved(self, values: dict[str, Tensor], order: Tensor) -> Tensor:
        """Returns the real numbers ``(S, P)`` behind values with components in an order ``(S, K)``."""
        own = {name: reordered(values[name], order) for name in self.posterior.of_components}
        return self.posterior.unconstrain({**values, **own})


def _feature(value: Tensor) -> Tensor:
    """Numbers of each component, ``(S, K, F)``, on a scale of logarithms where all are positive."""
    flat = value.reshape(*value.shape[:2], -1)
    return flat.log() if bool((flat > 0).all()) else flat


def symmetric(posterior: Posterior) -> bool:
    """Tells whether components may trade places: in the prior, in what is held, in potentials and known labels."""
    held = [value for value in posterior.fixed.values() if value.ndim and len(value) == posterior.components]
    alike = all(bool((value == value[:1]).all()) for value in held)
    free = alike and not posterior.rows.possible.known
    return free and exchangeable(posterior.variables, posterior.together) and _potentials_alike(posterior)


def _potentials_alike(posterior: Posterior) -> bool:
    values = prior_draws(posterior.variables, posterior.together, _DRAWS, torch.Generator().manual_seed(0))
    here, *others = [posterior.whole(one) for one in (values, *traded(posterior.variables, values))]
    pairs = [(one.log_prob(here, 1), one.log_prob(there, 1)) for one in posterior.potentials for there in others]
    return all(torch.allclose(one.exp(), other.exp(), rtol=1e-6, equal_nan=True) for one, other in pairs)
