r"""The evidence of a model, by which numbers of components are compared.

.. math:: p(x) = \frac{\int \prod_n p(x_n | \theta)\, p(\theta)\, e^{\sum_i \phi_i(\theta)}\, d\theta}
    {\int p(\theta)\, e^{\sum_i \phi_i(\theta)}\, d\theta}

over the parameters that the model allows. The integral above is found by bridge sampling from draws of the posterior
(`approximations.bridge`). That below is 1 where there are no potentials, no order and no floor. Of an order of
exchangeable components it is 1/K!; else it is the mean of :math:`e^{\sum \phi_i}` over draws of the prior.

Where labels are free, the posterior has K! copies of every mode, and chains see some of them. But components that
nothing tells apart may be given an order: the prior in that order, times K!, is a prior of the same evidence
(Frühwirth-Schnatter, 2004, sees all copies by random permutations; here only one is ever seen). So the draws are those
of the model with `ordered` chosen for it.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any

import torch
from torch import Generator, Tensor

from ..errors import refuse
from .approximations import Bridge, bridge
from .bijections import onto
from .posterior import Posterior
from .prior_draws import exchangeable, prior_draws
from .variables import Variable

if TYPE_CHECKING:
    from .model import Model

__all__ = ["Evidence", "PriorMass", "Sampler", "evidence", "in_some_order", "prior_mass"]

Sampler = Callable[[Posterior, "Generator | None"], Tensor]
"""From a posterior to draws of its vector u, ``(chains, draws, P)``."""

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
        posterior: What was sampled: that of the model, or of its ordered twin.
    """

    log_evidence: float
    error: float
    bridge: Bridge
    prior: PriorMass
    posterior: Posterior

    def __repr__(self) -> str:
        ordered = self.posterior.order
        how = f", components ordered by {ordered[0]}" if ordered else ""
        return f"log-evidence {self.log_evidence:.3f} ± {self.error:.2g} nats (bridge sampling{how})"


def evidence(model: Model, x: Any, sampler: Sampler, generator: Generator | None, rows: Mapping[str, Any]) -> Evidence:
    """Estimates the log-evidence of a model; see `Model.evidence`."""
    posterior = in_some_order(model, model.posterior(x, **rows), x, rows)
    found = bridge(posterior.log_density, sampler(posterior, generator), generator, at_once=posterior.points_at_once)
    prior = prior_mass(posterior, generator)
    error = math.hypot(found.error, prior.error)
    return Evidence(found.log_evidence - prior.log, error, found, prior, posterior)


def prior_mass(posterior: Posterior, generator: Generator | None) -> PriorMass:
    """Returns the integral of the prior over what a posterior's real numbers can reach, with its potentials.

    Raises:
        MixtureError: If no draw of the prior is allowed.
    """
    trading = posterior.order is not None and exchangeable(posterior.variables, posterior.together)
    log_copies = posterior.log_copies if trading else 0.0
    weights = _allowed(posterior, _FIRST_DRAWS, trading, generator)
    if bool((weights == 0).all()):
        return PriorMass(-log_copies, 0.0)
    weights = _allowed(posterior, _DRAWS, trading, generator)
    total = float(weights.logsumexp(0))
    if total == -math.inf:
        refuse("potentials", "possible somewhere in the prior", f"none of {_DRAWS} draws of it")
    scaled = (weights - weights.max()).exp()
    error = float(scaled.std() / scaled.mean()) / math.sqrt(_DRAWS)
    return PriorMass(total - math.log(_DRAWS) - log_copies, error)


def _allowed(posterior: Posterior, draws: int, trading: bool, generator: Generator | None) -> Tensor:
    """Returns potentials of draws of the prior, ``(draws,)``; minus infinity where no real numbers reach."""
    values = prior_draws(posterior.variables, posterior.together, draws, generator)
    values = posterior.in_order(values) if trading else values
    held = {name: value.expand(draws, *value.shape) for name, value in posterior.fixed.items()}
    weights = torch.where(posterior.unconstrain(values).isfinite().all(-1), 0.0, -torch.inf).double()
    return sum((one.log_prob({**held, **values}, 1) for one in posterior.potentials), weights)


def in_some_order(model: Model, posterior: Posterior, x: Any, rows: Mapping[str, Any]) -> Posterior:
    """Returns the posterior of the model, or that of its twin in some order where nothing tells components apart.

    Raises:
        MixtureError: If labels are free and no parameter can be ordered.
    """
    if posterior.components == 1 or posterior.order is not None or not _symmetric(posterior):
        return posterior
    names = [one for one in posterior.variables if _can_be_ordered(one)]
    if not names:
        advice = "All K! copies of each mode would have to be seen."
        refuse("model", "of components with a parameter to order them by, for its evidence", "none", advice)
    return replace(model, ordered=_clearest(posterior, names[0])).posterior(x, **rows)


def _can_be_ordered(one: Variable) -> bool:
    own = one.dims[:1] == ("component",) and len(one.shape) <= 2 and not one.name.endswith("_slope")
    return own and one.name != "weights" and not onto(one.law.support).event_dim


def _clearest(posterior: Posterior, one: Variable) -> tuple[str, int]:
    """Returns a parameter and that of its coordinates in which fitted components lie the farthest apart."""
    if len(one.shape) < 2 or posterior.centre is None:
        return one.name, 0
    values = posterior.constrain(posterior.centre)
    unit = values["scale"].mean(0) if values.get("scale", torch.zeros(())).shape == one.shape else torch.ones(())
    return one.name, int((values[one.name].std(0) / unit).argmax())


def _symmetric(posterior: Posterior) -> bool:
    """Tells whether components may trade places: in the prior, in what is held, in potentials and known labels."""
    held = [value for value in posterior.fixed.values() if value.ndim and len(value) == posterior.components]
    alike = all(bool((value == value[:1]).all()) for value in held)
    known = posterior.rows.possible.known
    return (
        alike
        and not known
        and exchangeable(posterior.variables, posterior.together)
        and _potentials_symmetric(posterior)
    )


def _potentials_symmetric(posterior: Posterior) -> bool:
    values = prior_draws(posterior.variables, posterior.together, 100, torch.Generator().manual_seed(0))
    moved = {one.name for one in posterior.variables if one.dims[:1] == ("component",)}
    turned = {name: value.roll(1, 1) if name in moved else value for name, value in values.items()}
    held = {name: value.expand(100, *value.shape) for name, value in posterior.fixed.items()}
    pairs = [[one.log_prob({**held, **at}, 1) for at in (values, turned)] for one in posterior.potentials]
    return all(torch.allclose(here.exp(), there.exp(), rtol=1e-6, equal_nan=True) for here, there in pairs)
