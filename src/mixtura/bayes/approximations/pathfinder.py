r"""Pathfinder: Gaussians along the way uphill, the best of each path, and importance draws from all of them.

On the way of a climb each iterate :math:`u_l` and the inverse :math:`H_l` of minus the second derivatives, as the climb
has learned it so far, make a Gaussian

.. math:: q_l = N(u_l + H_l g_l,\; H_l), \qquad
    H_{l+1} = (I - \rho\, s y^\top) H_l (I - \rho\, y s^\top) + \rho\, s s^\top, \quad \rho = 1/(s^\top y),

and the one with the highest bound on the evidence, by a few draws of each, is the path's (Zhang, Carpenter, Gelman and
Vehtari, 2022). Modes are too narrow and too high in many dimensions; the best Gaussian most often comes before the end.
The climb learns of the curvature only along its way, so once, at the best iterate, :math:`H_l` is compared with the
exact inverse, and the better bound decides: a Gaussian posterior is met exactly.

Of I paths the law is the mixture :math:`q = \frac1I \sum_i q_i`, and draws of it are drawn again with Pareto-smoothed
weights. (The paper weighs each path's draws by its own density; by that of the mixture, two paths that found one mode
count once, and the mean of the ratios is an estimate of the evidence.)
"""

from __future__ import annotations

import math
from dataclasses import dataclass

import torch
from torch import Generator, Tensor

from ...errors import refuse
from .climb import Paths
from .curvature import along_path, curvature_factor, inverse_factor
from .density import Target, hessian, values
from .ending import Ending
from .maximum import ascend
from .psis import smoothed
from .record import Approximation, check, normal

__all__ = ["Pathfinder", "Place", "pathfinder", "places"]

_TRIES, _LAST_TRIES = 10, 100  # draws of each Gaussian on the way, and of the two at the end
_POOL = 4  # draws for each one that is kept
_LEAST = 1000


@dataclass(frozen=True)
class Place:
    """The best Gaussian on one path.

    Arguments:
        mean: Its mean, ``(P,)``.
        scale_tril: The Cholesky factor of its covariance, ``(P, P)``.
        elbo: Its lower bound on the log-evidence, in nats.
        iterate: The iterate that it is about.
    """

    mean: Tensor
    scale_tril: Tensor
    elbo: float
    iterate: int


@dataclass(frozen=True, eq=False, repr=False)
class Pathfinder(Approximation):
    """A mixture of the best Gaussians on several paths; draws of it are drawn again by their importance.

    Arguments:
        elbos: The bounds of the paths' Gaussians, in nats; the worst may be of other modes.
    """

    elbos: tuple[float, ...]

    @property
    def log_evidence(self) -> float:
        """The log of the mean of the smoothed importance ratios, in nats: the log-evidence where k-hat is small."""
        return self.check.log_evidence

    def _draw(self, n: int, generator: Generator | None) -> Tensor:
        """Returns draws of the mixture, drawn again with smoothed importance weights."""
        pool = super()._draw(max(_POOL * n, _LEAST), generator)
        ratios = values(self.target.log_density, pool, self.target.points_at_once) - self.log_prob(pool)
        return pool[torch.multinomial(smoothed(ratios).logits.exp(), n, replacement=True, generator=generator)]


def pathfinder(target: Target, paths: int = 8, steps: int = 1000, generator: Generator | None = None) -> Pathfinder:
    """Approximates a posterior by the best Gaussians on the ways to its modes.

    Arguments:
        target: The posterior.
        paths: How many climbs there are, each from a start of its own.
        steps: The most steps of each.
        generator: The source of randomness.

    Raises:
        MixtureError: If the density is zero at every start, or no Gaussian on any path lies within its support.
    """
    ways, every = places(target, paths, steps, generator)
    found = [place for place in every if place.elbo > -torch.inf]
    if not found:
        came = f"{paths} paths on which every Gaussian reaches where it is zero"
        refuse("the posterior", "positive about some point on the way to a mode", came, Ending.WALL.value)
    law = normal(torch.stack([one.mean for one in found]), torch.stack([one.scale_tril for one in found]))
    history = ways.values[: int(ways.lengths[ways.best]) + 1, ways.best]
    ending, elbos = ways.endings[ways.best], tuple(one.elbo for one in found)
    return Pathfinder(target, law, ending, tuple(history.tolist()), check(target, law, generator), elbos)


def places(target: Target, paths: int, steps: int, generator: Generator | None) -> tuple[Paths, list[Place]]:
    """Returns climbs and the best Gaussian of each; where all reach beyond its support, the start."""
    ways, unit = ascend(target, target.log_density, paths, steps, generator)
    return ways, [_best(target, ways, path, unit, generator) for path in range(paths)]


def _best(target: Target, ways: Paths, path: int, unit: Tensor, generator: Generator | None) -> Place:
    """Returns the Gaussian on one path whose bound is highest, in the units of u."""
    last = int(ways.lengths[path]) + 1
    points, gradients = ways.points[:last, path] * unit, ways.gradients[:last, path] / unit
    factors = unit.unsqueeze(-1) * along_path(ways.points[:last, path], ways.gradients[:last, path])
    at = _highest(target, points, gradients, factors, _TRIES, generator).iterate
    exact = _exact_factor(target, points[at])
    last = factors[at : at + 1] if exact is None else torch.stack([factors[at], exact])
    same = points[at].expand(len(last), -1), gradients[at].expand(len(last), -1)
    return _highest(target, *same, last, _LAST_TRIES, generator)


def _highest(
    target: Target, points: Tensor, gradients: Tensor, factors: Tensor, tries: int, generator: Generator | None
) -> Place:
    """Returns that of the Gaussians about points ``(L, P)`` whose bound is the highest, by so many draws of each."""
    means = points + (factors @ (factors.mT @ gradients.unsqueeze(-1))).squeeze(-1)
    elbos = _elbos(target, means, factors, tries, generator)
    best = int(elbos.argmax())
    if not bool(elbos[best] > -torch.inf):
        return Place(points[0], factors[0], -math.inf, 0)
    return Place(means[best], factors[best], float(elbos[best]), best)


def _exact_factor(target: Target, u: Tensor) -> Tensor | None:
    """Returns the Cholesky factor of the exact inverse, or none where the density does not bend down everywhere."""
    factor = curvature_factor(-hessian(target.log_density, u)[1])
    return None if factor is None else inverse_factor(factor)


def _elbos(target: Target, means: Tensor, factors: Tensor, tries: int, generator: Generator | None) -> Tensor:
    """Returns the bounds of Gaussians ``(L, P)`` by a few draws of each, ``(L,)``."""
    noise = torch.randn(len(means), tries, means.shape[-1], dtype=means.dtype, generator=generator)
    draws = means.unsqueeze(1) + noise @ factors.mT
    log_q = torch.distributions.Normal(noise.new_zeros(()), 1.0).log_prob(noise).sum(-1)
    log_q = log_q - factors.diagonal(dim1=-2, dim2=-1).log().sum(-1, keepdim=True)
    return (
        (values(target.log_density, draws, target.points_at_once) - log_q)
        .mean(-1)
        .nan_to_num(-torch.inf, -torch.inf, -torch.inf)
    )
