"""Draws of all parameters from their priors, each behind those that its own prior hangs on."""

from __future__ import annotations

from collections.abc import Sequence

import torch
from torch import Generator, Tensor

from .variables import Variable, log_prior

__all__ = ["exchangeable", "prior_draws"]


def prior_draws(variables: Sequence[Variable], count: int, generator: Generator | None = None) -> dict[str, Tensor]:
    """Returns draws ``(count, *shape)`` of every variable, with no regard to order or potentials.

    Arguments:
        variables: Those that a prior hangs on come before it.
        count: How many draws.
        generator: The source of randomness; torch's own stream, which priors draw from, is seeded by it and put back.
    """
    values: dict[str, Tensor] = {}
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(int(torch.randint(2**62, (), generator=generator)))
        for one in variables:
            values[one.name] = one.law.sample(count, one.shape, one.given(values))
    return values


def exchangeable(variables: Sequence[Variable]) -> bool:
    """Tells whether components may trade all their values and the prior stays what it is, by its own density."""
    values = prior_draws(variables, 1, torch.Generator().manual_seed(0))
    names = {one.name for one in variables if one.dims[:1] == ("component",)}
    turned = {name: value.roll(1, 1) if name in names else value for name, value in values.items()}
    here, there = (torch.stack([log_prior(one, at) for one in variables]).sum() for at in (values, turned))
    return bool(torch.isclose(here, there, rtol=1e-9, atol=1e-9))
