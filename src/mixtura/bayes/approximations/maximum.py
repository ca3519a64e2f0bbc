r"""The most probable parameters (MAP), by L-BFGS from several starts.

A mode depends on the coordinates in which a density is written. With :math:`\theta = T(u)`,

.. math:: \log p_u(u) = \log p_\theta(T(u)) + \log|\det \partial T/\partial u|.

By default the Jacobian is left out: this is the mode of :math:`p_\theta`, in the parameters themselves, which `mx.EM`
with a prior finds too. The mode of :math:`p_u` is that about which Laplace's approximation is built.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

import torch
from torch import Generator, Tensor

from ...errors import refuse
from .climb import Paths, climb, scales
from .curvature import curvature_factor
from .density import LogDensity, Target, by_autograd, finite_start, hessian, scaled
from .ending import Ending

__all__ = ["Maximum", "ascend", "maximum"]


@dataclass(frozen=True, eq=False, repr=False)
class Maximum:
    """The highest of the modes that were found.

    Arguments:
        target: The posterior.
        u: The mode, ``(P,)``, unconstrained.
        value: The log-density that was maximised, there, in nats, up to the same constant as the posterior's.
        reason: Why the climb to it ended.
        history: The log-density at each step of that climb.
        values: Where each of the starts ended, in nats: many at one value are a good sign.
    """

    target: Target
    u: Tensor
    value: float
    reason: Ending
    history: tuple[float, ...]
    values: tuple[float, ...]

    @property
    def converged(self) -> bool:
        """Whether the climb ended at a maximum."""
        return self.reason is Ending.CONVERGED

    @property
    def parameters(self) -> Mapping[str, Tensor]:
        """The parameters at the mode, by name."""
        return {name: value.squeeze(0) for name, value in self.target.constrain(self.u.unsqueeze(0)).items()}

    def __repr__(self) -> str:
        return f"Maximum of {self.target.size} numbers: {self.value:.6g} nats\n{self.reason.value}"


def ascend(
    target: Target, log_density: LogDensity, starts: int, steps: int, generator: Generator | None
) -> tuple[Paths, Tensor]:
    """Climbs a log-density from several starts of a posterior; returns paths in units ``(P,)``, and these."""
    if starts < 1 or steps < 1:
        refuse("starts and steps", "1 or more", (starts, steps))
    points = torch.stack([finite_start(target, generator) for _ in range(starts)])
    unit = scales(log_density, points[0])
    return climb(scaled(by_autograd(log_density, target.points_at_once), unit), points / unit, steps), unit


def maximum(
    target: Target,
    log_density: LogDensity | None = None,
    starts: int = 8,
    steps: int = 1000,
    generator: Generator | None = None,
) -> Maximum:
    """Finds the highest mode of a log-density on the unconstrained vector.

    Arguments:
        target: The posterior.
        log_density: What is maximised; the posterior's density of u by default. Without the log-Jacobian it is the
            density of the parameters themselves.
        starts: How many starts there are.
        steps: The most steps of each.
        generator: The source of randomness.

    Raises:
        MixtureError: If the density is zero at every start.
    """
    objective = log_density or target.log_density
    paths, unit = ascend(target, objective, starts, steps, generator)
    best = paths.best
    u = paths.points[-1, best] * unit
    history = tuple(paths.values[: int(paths.lengths[best]) + 1, best].tolist())
    reason = _confirmed(objective, u, paths.endings[best])
    return Maximum(target, u, history[-1], reason, history, tuple(paths.values[-1].tolist()))


def _confirmed(log_density: LogDensity, u: Tensor, ending: Ending) -> Ending:
    """Returns why a climb ended, after a look at the curvature there."""
    if ending is Ending.CONVERGED and curvature_factor(-hessian(log_density, u)[1]) is None:
        return Ending.FLAT
    return ending
