r"""Laplace's approximation: a Gaussian with the posterior's mode and its curvature there.

With :math:`H = -\nabla^2 \log p(\hat u)` at the mode :math:`\hat u` of the density of the unconstrained vector,

.. math:: q = N(\hat u, H^{-1}), \qquad
    \log Z \approx \log p(\hat u) + \tfrac P2 \log 2\pi - \tfrac12 \log\det H .

The mode is polished by Newton's steps. Of a mixture whose labels are free it is about one of K! modes.
"""

from __future__ import annotations

import math
from dataclasses import dataclass

import torch
from torch import Generator, Tensor

from ...errors import refuse
from .curvature import curvature_factor, inverse_factor, lowest
from .density import LogDensity, Target, by_autograd, hessian, values
from .maximum import Maximum, maximum
from .record import Approximation, check, normal

__all__ = ["Laplace", "laplace"]

_POLISHES = 5
_SETTLED = 1e-12  # nats


@dataclass(frozen=True, eq=False, repr=False)
class Laplace(Approximation):
    """A Gaussian about the mode.

    Arguments:
        mode: The mode of the density of u, ``(P,)``.
        log_evidence: The log of the integral of the density by the curvature at the mode, in nats.
    """

    mode: Tensor
    log_evidence: float


def laplace(target: Target, starts: int = 8, steps: int = 1000, generator: Generator | None = None) -> Laplace:
    """Approximates a posterior by the Gaussian at its mode.

    Raises:
        MixtureError: If the search finds no maximum, or the density does not bend down in every direction there.
    """
    found = maximum(target, None, starts, steps, generator)
    mode, factor = _polished(target.log_density, found)
    value = float(values(target.log_density, mode.unsqueeze(0), 1))
    log_evidence = value + 0.5 * len(mode) * math.log(2 * math.pi) - float(factor.diagonal().log().sum())
    law = normal(mode, inverse_factor(factor))
    reason, history = found.reason, found.history
    return Laplace(target, law, reason, history, check(target, law, generator), mode, log_evidence)


def _polished(log_density: LogDensity, found: Maximum) -> tuple[Tensor, Tensor]:
    """Returns the mode after Newton's steps, and the Cholesky factor of the curvature there."""
    mode, factor = found.u, _curvature(log_density, found.u, found)
    density = by_autograd(log_density, 1)
    for _ in range(_POLISHES):
        value, gradient = density(mode.unsqueeze(0))
        move = torch.cholesky_solve(gradient.mT, factor).squeeze(-1)
        higher = values(log_density, (mode + move).unsqueeze(0), 1) >= value
        if float(gradient @ move) < _SETTLED or not bool(higher):
            break
        mode, factor = mode + move, _curvature(log_density, mode + move, found)
    return mode, factor


def _curvature(log_density: LogDensity, u: Tensor, found: Maximum) -> Tensor:
    matrix = -hessian(log_density, u)[1]
    factor = curvature_factor(matrix)
    if factor is None:
        refuse(
            "the posterior",
            "bent downwards in every direction at its mode, for Laplace's approximation",
            f"a relative curvature of {lowest(matrix):.2g} where the climb ended ({found.reason.name})",
            f"{found.reason.value} Where it is flat or a ridge, use a proper prior, or `advi`.",
        )
    return factor
