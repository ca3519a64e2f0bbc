r"""Diffusion posterior sampling: the clean draw is taken to be the point that is expected.

:math:`p(x_0|x_t)` becomes a point mass at E, so :math:`\hat p(y|x_t) = N(y; A E, \Sigma_y)`. What is unknown of the
clean draw, :math:`A\,\mathrm{Cov}[x_0|x_t]A^\top`, is left out, and the pull is too strong by as much: where that is
many times :math:`\Sigma_y`, a step overshoots by as many times, and samplers of few steps diverge.

The published step replaces the likelihood: :math:`\log\hat p = -\zeta\,|y - A E|`, whose gradient is
:math:`\zeta\,J^\top A^\top(y - A E)/|y - A E|`, with a norm for each row.
"""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor

from .errors import Errors
from .rule import Likelihood, LikelihoodRule, Rule
from .seen import Seen

__all__ = ["DPS"]


@dataclass(frozen=True, eq=False)
class DPS(LikelihoodRule):
    r"""The likelihood at the expected draw.

    Arguments:
        observation: How y was recorded: linear, with Gaussian errors; above zero, unless there is a ``step``.
        y: What was recorded: ``(M,)``, or one record for each row.
        step: :math:`\zeta`, to take the published step, in units of the score. Where a paper adds
            :math:`\zeta'/|y - A E|` times half the gradient of the square to the rows after each of N steps, that is
            :math:`\zeta = \zeta'/(g^2\Delta t)`: a sampler multiplies by :math:`g^2\Delta t` itself.

    Source: Chung, Kim, Mccann, Klasky and Ye (2023), algorithm 1.

    Example:
        >>> mixture = mx.Mixture(torch.ones(2), mx.Normal(torch.tensor([-2.0, 2.0]), torch.ones(2)))
        >>> rule = mx.diffusion.DPS(mx.observation.AdditiveNoise(0.0, 0.1), torch.tensor(1.0), step=3.0)
        >>> x = mx.diffusion.sample(mixture, mx.diffusion.EDM(), (1000,), 100, guidance=rule)
        >>> x.mean().round(decimals=1)
        tensor(1.)
    """

    step: float | None = None

    def spread(self, seen: Seen) -> Errors:
        return seen.record.noise

    def expected(self, seen: Seen) -> Tensor:
        if self.step is None:
            return super().expected(seen)
        size = torch.linalg.vector_norm(seen.residual, dim=-1, keepdim=True)
        pull = self.step * seen.residual / torch.where(size > 0, size, 1.0)
        return seen.mean + seen.covariance(seen.record.back(pull))

    def believed(self, seen: Seen) -> Likelihood:
        return super().believed(seen) if self.step is None else Rule.believed(self, seen)
