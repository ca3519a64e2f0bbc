r"""The energy distance of samples to a mixture.

.. math:: D^2 = 2 E|x - X| - E|X - X'| - E|x - x'| .

Of Gaussians in many dimensions these means have no elementary form; along a direction they have, and the norm of a
vector is an average over directions, :math:`|v| = c_D\,E_\theta|\theta^\top v|` with
:math:`c_D = \sqrt\pi\,\Gamma(\tfrac{D+1}2)/\Gamma(\tfrac D2)`. So :math:`D^2` is :math:`c_D` times the mean over
directions of the energy distance on a line, :math:`2\int (F_N - F)^2`, in which

.. math:: E|x - X| = \sum_k w_k\big[(x - m_k)(2\Phi(z_k) - 1) + 2 s_k\varphi(z_k)\big] .
"""

from __future__ import annotations

import math
from dataclasses import dataclass

import torch
from torch import Tensor

from ...errors import refuse
from ...mixture import Mixture
from .metric import Measure, Metric, checked, visible
from .slices import Line, lines

__all__ = ["EnergyDistance"]


@dataclass(frozen=True)
class EnergyDistance(Metric):
    """The energy distance between the law of the samples, each of mass 1/N, and the mixture; in units of the samples.

    The only error is that of a finite number of directions, of which each is exact. Differentiable in the samples.

    Arguments:
        slices: The number of directions.
        seed: Which directions.

    Raises:
        MixtureError: If ``slices`` is below 1.

    Source: Székely and Rizzo (2013).

    Example:
        >>> mixture = mx.Mixture(torch.ones(1), mx.Gaussian(torch.zeros(1, 1), mx.Spherical(torch.ones(1))))
        >>> mx.diffusion.metrics.EnergyDistance().against(mixture, 1)(torch.zeros(1, 1))  # (2 sqrt 2 - 2) / sqrt pi
        tensor(0.4674, dtype=torch.float64)
    """

    slices: int = 100
    seed: int = 0

    def __post_init__(self) -> None:
        if self.slices < 1:
            refuse("slices", "at least 1", self.slices)

    @property
    def name(self) -> str:
        return "energy"

    def against(self, mixture: Mixture, count: int) -> Measure:
        law = visible(checked(mixture))
        along = [(line, line.spread) for line in lines(law, self.slices, self.seed, count)]
        features = law.event_shape[0]
        log_ratio = math.lgamma((features + 1) / 2) - math.lgamma(features / 2)
        factor = math.sqrt(math.pi) * math.exp(log_ratio)

        def measure(samples: Tensor) -> Tensor:
            return factor * torch.cat([_on_lines(samples, *one) for one in along]).mean()

        return measure


def _on_lines(samples: Tensor, line: Line, spread: Tensor) -> Tensor:
    """The energy distance along some directions."""
    x = line.sorted(samples)
    count = len(x)
    rank = torch.arange(1, count + 1, dtype=x.dtype, device=x.device)
    own = 2 / count**2 * ((2 * rank - count - 1) @ x)
    return 2 * line.distance(x).mean(0) - spread - own
