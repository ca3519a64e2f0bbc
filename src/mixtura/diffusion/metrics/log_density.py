"""How likely samples are under the law they should be of."""

from __future__ import annotations

from dataclasses import dataclass

from ...mixture import Mixture
from .metric import Measure, Metric, checked

__all__ = ["LogDensity"]


@dataclass(frozen=True)
class LogDensity(Metric):
    r"""Minus the mean log-density of the samples, :math:`-\frac1N\sum_i\log p(x_i)`, in nats.

    Of exact samples it is the entropy of the mixture, give or take Monte Carlo error: more is too wide or misplaced,
    less is too narrow. So its p-value looks to both sides. Differentiable in the samples.

    Example:
        >>> mixture = mx.Mixture(torch.ones(1), mx.Gaussian(torch.zeros(1, 1), mx.Spherical(torch.ones(1))))
        >>> mx.diffusion.metrics.LogDensity().against(mixture, 1)(torch.zeros(1, 1))
        tensor(0.9189, dtype=torch.float64)
    """

    two_sided = True

    @property
    def name(self) -> str:
        return "-log p"

    def against(self, mixture: Mixture, count: int) -> Measure:
        law = checked(mixture)
        return lambda samples: -law.log_prob(samples).mean()
