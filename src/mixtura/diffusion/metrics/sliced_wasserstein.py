r"""Sliced Wasserstein distances between samples and a mixture, without samples of the mixture.

Along a direction, with samples :math:`x_{(1)} \le \dots \le x_{(N)}` and the mixture's quantiles Q,

.. math::

    W_1 = \sum_i \int_{(i-1)/N}^{i/N} |x_{(i)} - Q(u)|\,du, \qquad
    W_2^2 = \frac1N\sum_i \big[(x_{(i)} - m_i)^2 + v_i\big],

where :math:`m_i` and :math:`v_i` are mean and variance of the mixture between its quantiles of (i - 1)/N and i/N. All
integrals are differences of partial moments (see `slices`): exact, with no grid.
"""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor

from ...errors import refuse
from ...mixture import Mixture
from .metric import Measure, Metric, checked, visible
from .slices import Line, lines

__all__ = ["SlicedWasserstein"]


@dataclass(frozen=True)
class SlicedWasserstein(Metric):
    r"""The distance :math:`W_p` along random directions, on average or at most; in units of the samples.

    .. math:: \Big(\operatorname{mean}_\theta W_p^p\Big)^{1/p} \quad\text{or}\quad \max_\theta W_p .

    Arguments:
        order: p, 1 or 2.
        slices: The number of directions.
        largest: Whether the maximum over directions is taken, instead of the mean.
        seed: Which directions.

    Differentiable in the samples.

    Raises:
        MixtureError: If ``order`` is neither, or ``slices`` is below 1.

    Source: Bonneel, Rabin, Peyré and Pfister (2015); Deshpande et al. (2019) for the maximum.

    Example:
        >>> mixture = mx.Mixture(torch.ones(1), mx.Gaussian(torch.zeros(1, 2), mx.Spherical(torch.ones(1))))
        >>> measure = mx.diffusion.metrics.SlicedWasserstein(order=2).against(mixture, 1)
        >>> measure(torch.zeros(1, 2))  # all mass at the mean: the scale
        tensor(1.0000, dtype=torch.float64)
    """

    order: int = 1
    slices: int = 100
    largest: bool = False
    seed: int = 0

    def __post_init__(self) -> None:
        if self.order not in _KINDS:
            refuse("order", "1 or 2", self.order)
        if self.slices < 1:
            refuse("slices", "at least 1", self.slices)

    @property
    def name(self) -> str:
        return f"{'max-' * self.largest}SW{self.order}"

    def against(self, mixture: Mixture, count: int) -> Measure:
        law = visible(checked(mixture))
        along = [_KINDS[self.order](line, count) for line in lines(law, self.slices, self.seed, count)]

        def measure(samples: Tensor) -> Tensor:
            powers = torch.cat([one(samples) for one in along])
            return (powers.max() if self.largest else powers.mean()) ** (1 / self.order)

        return measure


class _First:
    """W1 along some directions."""

    def __init__(self, line: Line, count: int) -> None:
        self.line, self.edges = line, _edges(line, count)
        self.ends = line.quantiles(self.edges)
        self.moments = line.first(self.ends)

    def __call__(self, samples: Tensor) -> Tensor:
        x, edges = self.line.sorted(samples), self.edges.unsqueeze(-1)
        inside = torch.maximum(torch.minimum(x, self.ends[1:]), self.ends[:-1])
        reached = torch.maximum(torch.minimum(self.line.cdf(inside), edges[1:]), edges[:-1])
        moment = self.line.first(inside)
        below = x * (reached - edges[:-1]) - (moment - self.moments[:-1])
        above = self.moments[1:] - moment - x * (edges[1:] - reached)
        return (below + above).sum(0)


class _Second:
    """The square of W2 along some directions."""

    def __init__(self, line: Line, count: int) -> None:
        self.line, ends = line, line.quantiles(_edges(line, count))
        self.mean = count * line.first(ends).diff(dim=0)
        self.variance = (count * line.second(ends).diff(dim=0) - self.mean.square()).clamp_min(0)

    def __call__(self, samples: Tensor) -> Tensor:
        return ((self.line.sorted(samples) - self.mean).square() + self.variance).mean(0)


_KINDS = {1: _First, 2: _Second}


def _edges(line: Line, count: int) -> Tensor:
    return torch.arange(count + 1, dtype=line.along.dtype, device=line.along.device) / count
