"""Draws of all parameters from their priors, each behind those that its own prior hangs on."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import torch
from torch import Generator, Tensor

from .together import Together
from .variables import Variable, log_prior, traded

__all__ = ["exchangeable", "prior", "prior_draws"]


def prior_draws(
    variables: Sequence[Variable], together: Sequence[Together], count: int, generator: Generator | None = None
) -> dict[str, Tensor]:
    """Returns draws ``(count, *shape)`` of every variable, with no regard to order or potentials.

    Arguments:
        variables: Those that a prior hangs on come before it.
        together: The priors that several variables have at once.
        count: How many draws.
        generator: The source of randomness; torch's own stream, which priors draw from, is seeded by it and put back.
    """
    values: dict[str, Tensor] = {}
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(int(torch.randint(2**62, (), generator=generator)))
        for one in together:
            values |= one.sample(count, torch.default_generator)
        for one in variables:
            if one.name not in values:
                values[one.name] = one.law.sample(count, one.shape, one.given(values))
    return values


def exchangeable(variables: Sequence[Variable], together: Sequence[Together]) -> bool:
    """Tells whether components may trade all their values and the prior stays what it is, by its own density."""
    values = prior_draws(variables, together, 1, torch.Generator().manual_seed(0))
    here = prior(variables, together, values)
    others = [prior(variables, together, other) for other in traded(variables, values)]
    return all(bool(torch.isclose(here, there, rtol=1e-9, atol=1e-9).all()) for there in others)


def prior(variables: Sequence[Variable], together: Sequence[Together], values: Mapping[str, Tensor]) -> Tensor:
    """Returns the log-density ``(*S,)`` of values under all priors, in nats."""
    alone = sum(log_prior(one, values) for one in variables)
    return alone + sum((one.log_prob(values) for one in together), torch.zeros((), dtype=torch.float64))
