r"""Discrepancies by kernels: what a Gaussian kernel sees of the density, and what the exact score sees of draws.

With :math:`k(x, x') = e^{-|x - x'|^2/2h^2}` and :math:`p_h = p * N(0, h^2 I)`, a mixture again,

.. math:: \mathrm{MMD}^2 = \frac1{N^2}\sum_{ij}k(x_i, x_j) - \frac2N\sum_i (2\pi h^2)^{D/2}\,p_h(x_i)
    + (2\pi h^2)^{D/2}\int p\,p_h .

With :math:`q = c^2 + |x - x'|^2`, the kernel :math:`q^{-1/2}` and the score :math:`s = \nabla\log p`,

.. math:: \mathrm{KSD}^2 = \frac1{N^2}\sum_{ij}\Big[\frac{s_i^\top s_j}{q^{1/2}}
    + \frac{(s_i - s_j)^\top(x_i - x_j) + D}{q^{3/2}} - \frac{3|x_i - x_j|^2}{q^{5/2}}\Big] .
"""

from __future__ import annotations

import math
from dataclasses import dataclass

import torch
from torch import Tensor

from ...errors import refuse
from ...mixture import Mixture
from .metric import Measure, Metric, checked, visible

__all__ = ["MMD", "KernelStein"]


@dataclass(frozen=True)
class MMD(Metric):
    """The squared maximum mean discrepancy of a Gaussian kernel, in closed form on the mixture's side.

    It is that between the law of the samples, each of mass 1/N, and the mixture, so it is never negative; between 0 and
    2. Differentiable in the samples.

    Arguments:
        scale: h, the kernel's scale in units of the samples; by default the root of the mixture's total variance, which
            sees modes. Within modes look at a smaller one.

    Raises:
        MixtureError: If the scale is not positive.

    Source: Gretton et al. (2012).

    Example:
        >>> mixture = mx.Mixture(torch.ones(1), mx.Gaussian(torch.zeros(1, 1), mx.Spherical(torch.ones(1))))
        >>> mx.diffusion.metrics.MMD(1.0).against(mixture, 1)(torch.zeros(1, 1))  # 1 - sqrt 2 + 1 / sqrt 3
        tensor(0.1631, dtype=torch.float64)
    """

    scale: float | None = None

    def __post_init__(self) -> None:
        _check(self.scale)

    def against(self, mixture: Mixture, count: int) -> Measure:
        law = visible(checked(mixture))
        scale = _scale(law) if self.scale is None else self.scale
        blurred = law.convolve(scale**2)
        volume = 0.5 * law.event_shape[0] * math.log(2 * math.pi * scale**2)
        own = torch.exp(volume + law.overlap(blurred))

        def measure(samples: Tensor) -> Tensor:
            x = samples.to(own)
            pairs = torch.exp(-0.5 * _squares(x - law.mean) / scale**2).mean()
            return pairs - 2 * torch.exp(volume + blurred.log_prob(x)).mean() + own

        return measure


@dataclass(frozen=True)
class KernelStein(Metric):
    """The squared kernel Stein discrepancy of the inverse multiquadric kernel, with the mixture's exact score.

    It asks nothing of the mixture but its score, which hardly knows how much mass a mode has: it sees what is wrong
    within modes. Never negative. Differentiable in the samples.

    Arguments:
        scale: c, in units of the samples; by default the root of the mixture's total variance.

    Raises:
        MixtureError: If the scale is not positive.

    Source: Gorham and Mackey (2017).

    Example:
        >>> mixture = mx.Mixture(torch.ones(1), mx.Gaussian(torch.zeros(1, 1), mx.Spherical(torch.ones(1))))
        >>> mx.diffusion.metrics.KernelStein(1.0).against(mixture, 1)(torch.full((1, 1), 2.0))  # s^2 + 1
        tensor(5., dtype=torch.float64)
    """

    scale: float | None = None

    def __post_init__(self) -> None:
        _check(self.scale)

    @property
    def name(self) -> str:
        return "KSD"

    def against(self, mixture: Mixture, count: int) -> Measure:
        law = checked(mixture)
        scale = _scale(law) if self.scale is None else self.scale

        def measure(samples: Tensor) -> Tensor:
            x = samples.to(law.mean) - law.mean
            score = law.score(x + law.mean)
            square, inner = _squares(x), score @ x.mT
            q = scale**2 + square
            along = inner.diagonal().unsqueeze(-1) + inner.diagonal() - inner - inner.mT + x.shape[-1]
            return (score @ score.mT / q.sqrt() + along / q**1.5 - 3 * square / q**2.5).mean()

        return measure


def _squares(x: Tensor) -> Tensor:
    """The squared distances of all pairs."""
    norm = x.square().sum(-1)
    return (norm.unsqueeze(-1) + norm - 2 * x @ x.mT).clamp_min(0)


def _scale(law: Mixture) -> float:
    return float(law.variance.sum().sqrt())


def _check(scale: float | None) -> None:
    if scale is not None and not 0 < scale < math.inf:
        refuse("scale", "positive and finite", scale)
