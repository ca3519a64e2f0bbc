r"""What a sampler makes of a Gaussian, exactly: no draws, no Monte Carlo.

For a mixture of one component every denoiser is affine, and so is every step of a sampler under an affine guidance, in
the rows and in the noise it draws. So the end is affine in the start and in all noise,

.. math:: x_0 = b + M x_T + \sum_j N_j z_j, \qquad
    x_0 \sim N\Big(b + M m_T,\; M C_T M^\top + \sum_j N_j N_j^\top\Big),

and one run over 1 + D(1 + J) rows tells b, M and all of :math:`N_j`: from zero, from the unit vectors, and from zero
with a unit vector in the place of one of the J draws. Two more rows, far away on either side, tell whether it
was affine.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import NamedTuple

import torch
from torch import Tensor

from ..errors import refuse
from ..mixture import Mixture
from .churn import Churn
from .grids import Grid
from .guidance import Guidance
from .models import Model, model_of
from .places import Place, places
from .samplers import DDIM, Sampler
from .samplers.sampler import Draw
from .sampling import walk
from .schedules import Schedule

__all__ = ["GaussianLaw", "propagate"]

_FAR = 100.0  # where rows are that tell whether all is affine


class GaussianLaw(NamedTuple):
    """A Gaussian that may be singular.

    Arguments:
        mean: ``(D,)``.
        covariance: ``(D, D)``, positive semi-definite.
    """

    mean: Tensor
    covariance: Tensor

    def wasserstein(self, other: Mixture) -> Tensor:
        r"""Returns the 2-Wasserstein distance to a mixture of one Gaussian, in units of the rows.

        .. math:: W_2^2 = |m - m'|^2 + \min_{Q^\top Q = I}|L - L'Q|_F^2, \qquad LL^\top = C, \quad L'L'^\top = C',

        with Q of a singular value decomposition of :math:`L'^\top L`: a sum of squares, so that nothing cancels.
        """
        there = _law(other)
        mine, theirs = _root(self.covariance), _root(there.covariance)
        left, _, right = torch.linalg.svd(theirs.mT @ mine)
        gap = mine - theirs @ left @ right
        return ((self.mean - there.mean).square().sum() + gap.square().sum()).sqrt()

    def kl(self, other: Mixture) -> Tensor:
        r"""Returns :math:`KL(\text{self} \| \text{other})` in nats; infinite, if self is singular."""
        there = _law(other)
        ratio, gap = torch.linalg.solve(there.covariance, self.covariance), self.mean - there.mean
        pull = gap @ torch.linalg.solve(there.covariance, gap)
        return 0.5 * (ratio.trace() + pull - len(gap) - torch.linalg.slogdet(ratio).logabsdet)


def propagate(
    mixture: Mixture,
    schedule: Schedule,
    steps: int = 100,
    sampler: Sampler | None = None,
    guidance: Guidance | None = None,
    *,
    grid: Grid | None = None,
    start: Mixture | None = None,
    churn: Churn | None = None,
) -> GaussianLaw:
    """Returns the law of what `sample` draws from a mixture of one Gaussian.

    Arguments are those of `sample`; ``start`` is a mixture of one Gaussian, too, or round noise by default.

    Raises:
        MixtureError: If there is more than one component, or the guidance or the sampler is not affine, such as DPS
            with a step of its own, or draws otherwise than samplers are told to, as `Ancestral` does.

    Source: Pierret and Galerne (2025), for samplers without guidance.

    Example:
        >>> one = mx.Mixture(torch.ones(1), mx.Gaussian(torch.ones(1, 2), mx.Spherical(torch.full((1,), 4.0))))
        >>> schedule = mx.diffusion.EDM()
        >>> law = mx.diffusion.propagate(one, schedule, 100, start=mx.diffusion.diffuse(one, schedule, 80.0))
        >>> law.mean, law.wasserstein(one) < 0.1
        (tensor([1., 1.]), tensor(True))
    """
    sampler = DDIM() if sampler is None else sampler
    known = model_of(mixture, schedule)
    _law(mixture)
    stops = places(schedule, (schedule.grid if grid is None else grid).times(schedule, steps))
    run = _Run(known if guidance is None else guidance.guide(known), schedule, sampler, churn, stops)
    features = mixture.event_shape[0]
    first = _round(mixture, float(schedule.noise_scale(stops[0].t))) if start is None else _law(start)
    base, moved, drawn = run.affine(features, first.mean)
    covariance = moved @ first.covariance @ moved.mT + drawn @ drawn.mT
    return GaussianLaw(base + moved @ first.mean, covariance)


@dataclass(frozen=True, eq=False)
class _Run:
    """A sampler that goes down its places."""

    model: Model
    schedule: Schedule
    sampler: Sampler
    churn: Churn | None
    stops: list[Place]

    def end(self, x: Tensor, draw: Draw) -> Tensor:
        for state in walk(self.model, self.schedule, self.sampler, self.churn, self.stops, x, draw):
            x = state.x
        return x

    def affine(self, features: int, like: Tensor) -> tuple[Tensor, Tensor, Tensor]:
        """The end from zero, and what it has of the start ``(D, D)`` and of each number drawn ``(D, J D)``."""
        counted = _Unit(features)
        self.end(like.new_zeros(1, features), counted)
        unit = torch.eye(features, dtype=like.dtype, device=like.device)
        rows = 3 + features * (1 + counted.calls)
        x = like.new_zeros(rows, features)
        x[1 : 1 + features], x[-2], x[-1] = unit, _FAR, -_FAR
        end = self.end(x, _Unit(features))
        base, parts = end[0], end[1:-2] - end[0]
        _check(_FAR * parts.sum(0), end[-2] - base, base - end[-1])
        return base, parts[:features].mT, parts[features:].mT


class _Unit(Draw):
    """Zeros but for unit vectors, at the j-th call in the j-th block of rows; the last two rows are far away."""

    def __init__(self, features: int) -> None:
        super().__init__()
        self.features, self.calls = features, 0

    def __call__(self, like: Tensor) -> Tensor:
        self.calls += 1
        new, at = torch.zeros_like(like), 1 + self.calls * self.features
        if at + self.features + 1 < len(new):
            new[at : at + self.features] = torch.eye(self.features, dtype=new.dtype, device=new.device)
            new[-2], new[-1] = _FAR, -_FAR
        return new


def _check(wanted: Tensor, *found: Tensor) -> None:
    gap = torch.stack([(one - wanted).abs().max() for one in found]).max()
    if not bool(gap <= 1e-4 * _FAR):
        refuse(
            "guidance",
            "affine, and a sampler that draws as it is told",
            "another",
            "Of DPS leave out `step`; of Ancestral the law is known: it is exact.",
        )


def _law(mixture: Mixture) -> GaussianLaw:
    components = mixture.logits.shape[-1]
    if components != 1 or mixture.batch_shape or len(mixture.event_shape) != 1:
        came = f"{components} components, batch {tuple(mixture.batch_shape)}, rows {tuple(mixture.event_shape)}"
        refuse("mixture", "one Gaussian on vectors", came)
    return GaussianLaw(mixture.mean, mixture.covariance)


def _round(like: Mixture, scale: float) -> GaussianLaw:
    mean = torch.zeros_like(like.mean)
    return GaussianLaw(mean, torch.diag_embed(mean + scale**2))


def _root(covariance: Tensor) -> Tensor:
    """A factor of a positive semi-definite matrix."""
    values, axes = torch.linalg.eigh(covariance)
    return axes * values.clamp_min(0).sqrt()
