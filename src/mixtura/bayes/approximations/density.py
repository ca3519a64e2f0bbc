r"""A log-density on :math:`\mathbb R^P` as the algorithms ask for it: values and gradients of many points at once.

Where a value is NaN or its gradient is not finite the point is taken as impossible, :math:`\log p = -\infty`, with no
gradient: a climb turns back there, and a draw there has no weight.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING, Protocol

import torch
from torch import Generator, Tensor

from ...errors import refuse

if TYPE_CHECKING:
    from collections.abc import Mapping

__all__ = ["Density", "LogDensity", "Target", "by_autograd", "finite_start", "hessian", "scaled", "values"]

LogDensity = Callable[[Tensor], Tensor]
"""From points ``(S, P)`` to log-densities ``(S,)``, in nats."""

Density = Callable[[Tensor], tuple[Tensor, Tensor]]
"""From points ``(S, P)`` to log-densities ``(S,)`` and their gradients ``(S, P)``."""

_STARTS = 100  # draws in search of one that is possible


class Target(Protocol):
    """What an approximation needs of a posterior; `mixtura.bayes.Posterior` is one."""

    @property
    def size(self) -> int:
        """The number P of unconstrained numbers."""
        ...

    @property
    def points_at_once(self) -> int:
        """How many points may be asked about in one call without much memory."""
        ...

    def log_density(self, u: Tensor) -> Tensor:
        """Returns the log-density of points ``(S, P)``, up to a constant, differentiable, with shape ``(S,)``."""
        ...

    def start(self, generator: Generator | None) -> Tensor:
        """Returns a point to start from, ``(P,)``."""
        ...

    def constrain(self, u: Tensor) -> Mapping[str, Tensor]:
        """Returns all that is reported of points ``(S, P)``, by name."""
        ...


def by_autograd(log_density: LogDensity, at_once: int) -> Density:
    """Returns values and gradients of a log-density by torch's autograd, of so many points at once."""

    def some(u: Tensor) -> tuple[Tensor, Tensor]:
        with torch.enable_grad():
            point = u.detach().requires_grad_()
            value = log_density(point)
            (gradient,) = torch.autograd.grad(value.sum(), point)
        possible = value.isfinite() & gradient.isfinite().all(-1)
        return torch.where(possible, value.detach(), -torch.inf), torch.where(possible.unsqueeze(-1), gradient, 0.0)

    def value_and_gradient(u: Tensor) -> tuple[Tensor, Tensor]:
        found = [some(part) for part in u.split(at_once)]
        return torch.cat([value for value, _ in found]), torch.cat([gradient for _, gradient in found])

    return value_and_gradient


@torch.no_grad()
def values(log_density: LogDensity, u: Tensor, at_once: int) -> Tensor:
    """Returns the log-densities of points ``(*S, P)``, of so many at once; what is NaN is impossible."""
    found = torch.cat([log_density(some) for some in u.reshape(-1, u.shape[-1]).split(at_once)])
    return torch.where(found.isnan(), -torch.inf, found).reshape(u.shape[:-1])


def hessian(log_density: LogDensity, u: Tensor) -> tuple[Tensor, Tensor]:
    """Returns gradient ``(P,)`` and second derivatives ``(P, P)`` at a point ``(P,)``, by autograd."""
    with torch.enable_grad():
        point = u.detach().clone().requires_grad_()
        (gradient,) = torch.autograd.grad(log_density(point.unsqueeze(0)).sum(), point, create_graph=True)
        rows = [_row(one, point) for one in gradient.unbind()]
    matrix = torch.stack(rows)
    return gradient.detach(), (matrix + matrix.mT) / 2


def _row(derivative: Tensor, point: Tensor) -> Tensor:
    if not derivative.requires_grad:  # a density that is linear in all its numbers
        return torch.zeros_like(point)
    (row,) = torch.autograd.grad(derivative, point, retain_graph=True, allow_unused=True, materialize_grads=True)
    return row


def finite_start(target: Target, generator: Generator | None) -> Tensor:
    """Returns a start ``(P,)`` at which the density and its gradient are finite.

    Raises:
        MixtureError: If a hundred draws of a start are all impossible.
    """
    density = by_autograd(target.log_density, target.points_at_once)
    for _ in range(_STARTS):
        start = target.start(generator)
        if bool(density(start.unsqueeze(0))[0].isfinite()):
            return start
    refuse(
        "the posterior",
        "finite, with its gradient, at one of its starts",
        f"{_STARTS} starts where it is zero or NaN",
        "A potential or a prior excludes all of them: widen it, or say where to start.",
    )


def scaled(density: Density, scale: Tensor) -> Density:
    """Returns the same density of v = u / scale, up to the constant Jacobian."""

    def value_and_gradient(v: Tensor) -> tuple[Tensor, Tensor]:
        value, gradient = density(v * scale)
        return value, gradient * scale

    return value_and_gradient
