r"""The evidence of a model, by which numbers of components are compared.

.. math:: p(x) = \frac{\int \prod_n p(x_n | \theta)\, p(\theta)\, e^{\sum_i \phi_i(\theta)}\, d\theta}
    {\int p(\theta)\, e^{\sum_i \phi_i(\theta)}\, d\theta}

over the parameters that the model allows. The integral above is found by bridge sampling from draws of the posterior
(`approximations.bridge`). That below is 1 where there are no potentials, no order and no floor. Of an order of
exchangeable components it is 1/K!; else it is the mean of :math:`e^{\sum \phi_i}` over draws of the prior.

Where components may trade places the posterior has K! copies of every mode, and chains see some of them. So the model
is sampled with labels free, draws are relabelled to one copy, and the proposal that is learned from them is the mean of
its K! images: it has the posterior's symmetry, and which copies were seen does not matter (Frühwirth-Schnatter, 2004,
does it by random permutations). An order would do it, too, but cuts through modes, and chains do not cross the cut.
With many components, for whom K! is much, it is what remains: the prior in an order, times K!, is a prior of the same
evidence. Chains begin at draws of Pathfinder, whose climbs begin near a fit and at draws of the prior: so modes are
visited about as often as they have mass, also where no chain would cross.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any

import torch
from torch import Generator, Tensor

from ..errors import refuse
from .approximations import Bridge, bridge, pathfinder
from .bijections import onto
from .engine import draw
from .posterior import Posterior
from .prior_draws import prior_draws
from .starts import from_prior
from .trade import Trade, symmetric
from .variables import Variable

if TYPE_CHECKING:
    from .model import Model

__all__ = ["Evidence", "PriorMass", "Sampler", "by_nuts", "comparable", "evidence", "prior_mass"]

Sampler = Callable[[Posterior, "Generator | None"], Tensor]
"""From a posterior to draws of its vector u, ``(chains, draws, P)``."""

_FEW = 5  # components whose permutations are gone through
_PATHS, _STARTS = 16, 100  # climbs, and draws of what they find, of which chains begin at some
_FIRST_DRAWS, _DRAWS = 2**10, 2**16  # of the prior: to see whether anything is cut off, and how much


@dataclass(frozen=True)
class PriorMass:
    """The integral of the prior over what a model allows, with potentials.

    Arguments:
        log: Its logarithm, in nats.
        error: The standard error of that.
    """

    log: float
    error: float


@dataclass(frozen=True, repr=False)
class Evidence:
    """The log-evidence of a model.

    Arguments:
        log_evidence: In nats.
        error: Its standard error, in nats: of the bridge and of the prior's integral.
        bridge: The integral of prior times likelihood.
        prior: The integral of the prior.
        posterior: What was sampled: that of the model, or with another order of its components, or none.
    """

    log_evidence: float
    error: float
    bridge: Bridge
    prior: PriorMass
    posterior: Posterior

    def __repr__(self) -> str:
        return f"log-evidence {self.log_evidence:.3f} ± {self.error:.2g} nats (bridge sampling)"


def evidence(model: Model, x: Any, sampler: Sampler, generator: Generator | None, rows: Mapping[str, Any]) -> Evidence:
    """Estimates the log-evidence of a model; see `Model.evidence`."""
    posterior, trade = comparable(model, x, rows)
    posterior = posterior.quickened()
    draws = sampler(posterior, generator)
    images = Trade(posterior).images if trade else None
    draws = Trade(posterior).relabelled(draws) if trade else draws
    density, at_once = posterior.log_density, posterior.points_at_once
    found = bridge(density, draws, generator, at_once=at_once, images=images)
    prior = prior_mass(posterior, generator)
    error = math.hypot(found.error, prior.error)
    return Evidence(found.log_evidence - prior.log, error, found, prior, posterior)


def by_nuts(draws: int, tune: int, chains: int, target_accept: float) -> Sampler:
    """Returns the sampler that draws by NUTS."""

    def sampler(posterior: Posterior, generator: Generator | None) -> Tensor:
        starts = pathfinder(_Dispersed(posterior), _PATHS, generator=generator).sample(_STARTS, generator)
        seed = int(torch.randint(2**31, (), generator=generator))
        return torch.from_numpy(draw(posterior, draws, tune, chains, target_accept, seed, starts=starts).points)

    return sampler


class _Dispersed:
    """A posterior whose starts are near the fit and, every other, draws of the prior: these lead to other modes."""

    def __init__(self, posterior: Posterior) -> None:
        self.posterior, self.started = posterior, 0
        self.size, self.points_at_once = posterior.size, posterior.points_at_once
        self.log_density, self.constrain = posterior.log_density, posterior.constrain

    def start(self, generator: Generator | None) -> Tensor:
        self.started += 1
        drawn = from_prior(self.posterior, 1, generator)[0] if self.started % 2 else None
        possible = drawn is not None and bool(self.posterior.log_density(drawn).isfinite())
        return drawn if drawn is not None and possible else self.posterior.start(generator)


def prior_mass(posterior: Posterior, generator: Generator | None) -> PriorMass:
    """Returns the integral of the prior over what a posterior's real numbers can reach, with its potentials.

    Raises:
        MixtureError: If no draw of the prior is allowed.
    """
    log_copies = math.lgamma(posterior.components + 1) if posterior.one_of_copies else 0.0
    weights = _allowed(posterior, _FIRST_DRAWS, generator)
    if bool((weights == 0).all()):
        return PriorMass(-log_copies, 0.0)
    weights = _allowed(posterior, _DRAWS, generator)
    total = float(weights.logsumexp(0))
    if total == -math.inf:
        refuse("potentials", "possible somewhere in the prior", f"none of {_DRAWS} draws of it")
    scaled = (weights - weights.max()).exp()
    error = float(scaled.std() / scaled.mean()) / math.sqrt(_DRAWS)
    return PriorMass(total - math.log(_DRAWS) - log_copies, error)


def _allowed(posterior: Posterior, draws: int, generator: Generator | None) -> Tensor:
    """Returns potentials of draws of the prior, ``(draws,)``; minus infinity where no real numbers reach."""
    values = prior_draws(posterior.variables, posterior.together, draws, generator)
    values = posterior.in_order(values) if posterior.one_of_copies else values
    weights = torch.where(posterior.unconstrain(values).isfinite().all(-1), 0.0, -torch.inf).double()
    return sum((one.log_prob(posterior.whole(values), 1) for one in posterior.potentials), weights)


def comparable(model: Model, x: Any, rows: Mapping[str, Any]) -> tuple[Posterior, bool]:
    """Returns a posterior of the model's evidence that is easily sampled, and whether its components trade places.

    Raises:
        MixtureError: If there are many components and no parameter to order them by.
    """
    posterior = model.posterior(x, **rows)
    if posterior.components == 1:
        return posterior, False
    free = posterior if posterior.order is None else replace(model, ordered=None).posterior(x, **rows)
    if not symmetric(free):
        return posterior, False
    if posterior.components <= _FEW:
        return free, True
    return (posterior if posterior.order else _in_order(model, free, x, rows)), False


def _in_order(model: Model, free: Posterior, x: Any, rows: Mapping[str, Any]) -> Posterior:
    names = [one for one in free.variables if _can_be_ordered(one)]
    if not names:
        advice = "All K! copies of each mode would have to be seen."
        refuse("model", "of components with a parameter to order them by, for its evidence", "none", advice)
    return replace(model, ordered=_clearest(free, names[0])).posterior(x, **rows)


def _can_be_ordered(one: Variable) -> bool:
    own = one.of_components and len(one.shape) <= 2 and not one.name.endswith("_slope")
    return own and one.name != "weights" and not onto(one.law.support).event_dim


def _clearest(posterior: Posterior, one: Variable) -> tuple[str, int]:
    """Returns a parameter and that of its coordinates in which fitted components lie the farthest apart."""
    if len(one.shape) < 2 or posterior.centre is None:
        return one.name, 0
    values = posterior.constrain(posterior.centre)
    unit = values["scale"].mean(0) if values.get("scale", torch.zeros(())).shape == one.shape else torch.ones(())
    return one.name, int((values[one.name].std(0) / unit).argmax())
