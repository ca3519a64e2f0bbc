r"""Automatic variational inference: the Gaussian on u with the highest lower bound on the evidence.

.. math:: \mathcal L(m, L) = \mathbb E_{z \sim N(0, I)}\big[\log p(m + L z)\big] + \log\det L
    + \tfrac P2 (1 + \log 2\pi) \;\le\; \log Z

(Kucukelbir, Tran, Ranganath, Gelman and Blei, 2017). The expectation is a mean over M draws that stay the same, so the
bound is an ordinary function and L-BFGS finds its maximum: no step size, no schedule, and an end that can be stated
(Giordano, Ingram and Broderick, 2024). The draws are of a scrambled Sobol sequence, come in pairs :math:`\pm z`, and
are turned so that their covariance is the identity: a Gaussian posterior is met exactly. Fresh draws then judge: where
their bound is lower than the one that was maximised, M was too small, is doubled, and the search goes on from there.

It starts from the best Gaussian of Pathfinder, in whose frame L begins as the identity: linear maps of u change nothing
but that start.
"""

from __future__ import annotations

import math
from dataclasses import dataclass

import torch
from torch import Generator, Tensor
from torch.quasirandom import SobolEngine

from ...errors import refuse
from .climb import Paths, climb
from .density import Density, Target, by_autograd
from .ending import Ending
from .pathfinder import Place, places
from .ranks import Rank, named
from .record import Approximation, Check, check, normal

__all__ = ["ADVI", "Objective", "advi", "steady_draws"]

_PATHS, _PATH_STEPS = 4, 200
_FEWEST = 64
_ROUNDS = 4
_SETTLED = 0.05  # nats between the bound that was maximised and that of fresh draws
_TOLERANCE = 1e-7  # nats
_UNSURE = 1.0  # an error of the latter, in nats, above which it says nothing
_ENDLESS = 40.0  # a spread of the first Gaussian's times exp(40), or its inverse
_HALVINGS = 40


@dataclass(frozen=True, eq=False, repr=False)
class ADVI(Approximation):
    """The Gaussian with the highest bound.

    Arguments:
        rank: The family that it is of.
        fixed_draws: The number M of draws that the bound was maximised over at last.
    """

    rank: Rank
    fixed_draws: int


@dataclass(frozen=True)
class Objective:
    """The bound over fixed draws as a function of free numbers, in the frame of a first Gaussian.

    Arguments:
        density: The posterior's values and gradients.
        rank: The family.
        mean: The frame's origin, ``(P,)``.
        frame: The frame's axes, ``(P, P)``, lower triangular.
        draws: The fixed draws, ``(M, P)``.
    """

    density: Density
    rank: Rank
    mean: Tensor
    frame: Tensor
    draws: Tensor

    def law(self, free: Tensor) -> tuple[Tensor, Tensor]:
        """Returns the mean and the factor of the Gaussian of free numbers, in u."""
        size = len(self.mean)
        return self.mean + self.frame @ self.rank.mean(free, size), self.frame @ self.rank.factor(free, size)

    def __call__(self, free: Tensor) -> tuple[Tensor, Tensor]:
        """Returns the bound and its gradient at free numbers ``(1, F)``."""
        with torch.enable_grad():
            point = free.squeeze(0).detach().requires_grad_()
            mean, factor = self.law(point)
            u = mean + self.draws @ factor.mT
            value, gradient = self.density(u)
            entropy = self.rank.half_logdet(point, len(mean)) + self._constant()
            (ascent,) = torch.autograd.grad((u * gradient).sum() / len(u) + entropy, point)
        return (value.mean() + entropy.detach()).unsqueeze(0), ascent.unsqueeze(0)

    def _constant(self) -> Tensor:
        return self.frame.diagonal().log().sum() + 0.5 * len(self.mean) * (1 + math.log(2 * math.pi))


def advi(
    target: Target,
    rank: str | Rank = "mean-field",
    steps: int = 1000,
    generator: Generator | None = None,
) -> ADVI:
    """Approximates a posterior by the Gaussian with the highest lower bound on the evidence.

    Arguments:
        target: The posterior.
        rank: ``"mean-field"`` for independent coordinates, ``"full"`` for any covariance.
        steps: The most steps in all.
        generator: The source of randomness.

    Raises:
        MixtureError: If there is no such rank, or the density is zero at every start.
    """
    family = named(rank)
    if steps < 1:
        refuse("steps", "1 or more", steps)
    _, found = places(target, _PATHS, _PATH_STEPS, generator)
    first = max(found, key=lambda place: place.elbo)
    return _maximised(target, family, first, steps, generator)


def _maximised(target: Target, rank: Rank, first: Place, steps: int, generator: Generator | None) -> ADVI:
    """Rounds of a search, each with twice the draws of the one before, until fresh draws agree."""
    history: list[float] = []
    mean, frame, free = first.mean, rank.frame(first.scale_tril), torch.zeros(rank.free(target.size)).to(first.mean)
    count = max(_FEWEST, 4 * target.size)
    for round_ in range(_ROUNDS):
        draws = steady_draws(count << round_, target.size, generator)
        objective = Objective(by_autograd(target.log_density, target.points_at_once), rank, mean, frame, draws)
        found = climb(objective, _possible(objective, free).unsqueeze(0), max(1, steps - len(history)), _TOLERANCE)
        free = found.points[-1, 0]
        history.extend(found.values[:, 0].tolist())
        law = normal(*objective.law(free))
        judged = check(target, law, generator)
        spread = float(free[target.size : 2 * target.size].abs().max())
        reason = _reason(found, judged, spread, steps - len(history))
        if reason is not Ending.MAX_DRAWS:
            break
    return ADVI(target, law, reason, tuple(history), judged, rank, len(draws))


def _reason(found: Paths, judged: Check, spread: float, left: int) -> Ending:
    """Returns why it ends, or `MAX_DRAWS` where more draws may help."""
    (ending,) = found.endings
    if spread > _ENDLESS or not judged.elbo < math.inf:
        return Ending.UNBOUNDED
    if judged.elbo == -math.inf:
        return Ending.WALL
    if ending is not Ending.CONVERGED:
        return ending
    optimism = float(found.values[-1, 0]) - judged.elbo
    if judged.elbo_error < _UNSURE and optimism <= _SETTLED + 2 * judged.elbo_error:
        return Ending.CONVERGED
    return Ending.MAX_DRAWS if left > 0 else Ending.MAX_STEPS


def _possible(objective: Objective, free: Tensor) -> Tensor:
    """Returns free numbers at which the bound is finite: the spread is halved until all fixed draws are possible."""
    size = len(objective.mean)
    for _ in range(_HALVINGS):
        if bool(objective(free.unsqueeze(0))[0].isfinite()):
            return free
        narrower = free[size : 2 * size] - math.log(2)
        free = torch.cat([free[:size], narrower, free[2 * size :] / 2])
    refuse(
        "the posterior", "positive about its best point", "a point with impossible ones all around", Ending.WALL.value
    )


def steady_draws(count: int, size: int, generator: Generator | None) -> Tensor:
    """Returns draws of a standard normal, ``(M, P)``, with mean zero and covariance the identity, exactly."""
    seed = int(torch.randint(2**31 - 1, (), generator=generator))
    half = max(count // 2, 2 * size)
    uniform = SobolEngine(size, scramble=True, seed=seed).draw(half, dtype=torch.float64)
    z = torch.special.ndtri(uniform.clamp(1e-12, 1 - 1e-12))
    factor = torch.linalg.cholesky(z.mT @ z / half)
    z = torch.linalg.solve_triangular(factor, z.mT, upper=False).mT
    return torch.cat([z, -z])
