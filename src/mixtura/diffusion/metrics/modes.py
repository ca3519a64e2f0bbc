r"""How well samples fill the modes: how many are in each, and where and how widely they lie there.

With responsibilities :math:`r_{ik}` of the mixture, of exact samples :math:`E[r_k] = w_k`, :math:`E[r_k x] = w_k\mu_k`
and :math:`E[r_k (x - \mu_k)(x - \mu_k)^\top] = w_k\Sigma_k`, however much components overlap. So with
:math:`\hat w_k = \frac1N\sum_i r_{ik}` and the weighted means and covariances :math:`\hat\mu_k, \hat\Sigma_k`,

.. math:: \tfrac12\sum_k|\hat w_k - w_k|, \qquad
    \Big(\sum_k\hat w_k\,\tfrac1D|L_k^{-1}(\hat\mu_k - \mu_k)|^2\Big)^{1/2}, \\
    \sum_k\hat w_k\,\Big|\tfrac1D\mathrm{tr}(L_k^{-1}\hat\Sigma_kL_k^{-\top}) - 1\Big|, \qquad
    \Big(\sum_k\hat w_k\,\tfrac1D|L_k^{-1}\hat\Sigma_kL_k^{-\top} - I|_F^2\Big)^{1/2} .

A mode without samples has no mean: only its weight counts.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from functools import cached_property

import torch
from torch import Tensor

from ...components import Gaussian
from ...mixture import Mixture
from .metric import Measure, Metric, checked

__all__ = ["ModeCovariances", "ModeMeans", "ModeSpreads", "ModeWeights"]


@dataclass(frozen=True)
class ModeWeights(Metric):
    """The total variation between the modes' shares of the samples and their weights: 0 to 1.

    Differentiable in the samples, as are all metrics of modes.

    Example:
        >>> two = mx.Mixture(torch.ones(2), mx.Gaussian(torch.tensor([[-9.0], [9.0]]), mx.Spherical(torch.ones(2))))
        >>> mx.diffusion.metrics.ModeWeights().against(two, 4)(torch.tensor([[9.0], [9.0], [9.0], [-9.0]]))
        tensor(0.2500, dtype=torch.float64)
    """

    @property
    def name(self) -> str:
        return "weights"

    def against(self, mixture: Mixture, count: int) -> Measure:
        law = checked(mixture)
        return lambda samples: 0.5 * (Filled.by(law, samples).share - law.weights).abs().sum()


@dataclass(frozen=True)
class ModeMeans(Metric):
    """The error of the modes' means, in scales of the modes."""

    @property
    def name(self) -> str:
        return "means"

    def against(self, mixture: Mixture, count: int) -> Measure:
        law = checked(mixture)

        def measure(samples: Tensor) -> Tensor:
            found = Filled.by(law, samples)
            return (found.share * found.off).sum().sqrt()

        return measure


@dataclass(frozen=True)
class ModeSpreads(Metric):
    """The error of the modes' mean variance, relative to it: 1 where samples have collapsed to points."""

    @property
    def name(self) -> str:
        return "spreads"

    def against(self, mixture: Mixture, count: int) -> Measure:
        law = checked(mixture)
        gaussian = law.components.gaussian
        peak = -gaussian.structure.half_logdet(gaussian.features) - 0.5 * gaussian.features * math.log(2 * math.pi)

        def measure(samples: Tensor) -> Tensor:
            found = Filled.by(law, samples)
            about_mean = 2 * (peak - (found.joint - law.logits)) / gaussian.features
            variance = (found.within * about_mean).sum(0) - found.off
            return (found.share * (variance - 1).abs()).sum()

        return measure


@dataclass(frozen=True)
class ModeCovariances(Metric):
    """The error of the modes' covariance matrices, in units of theirs, per coordinate.

    Of few samples in many dimensions nearly all of it is Monte Carlo error, as the floor shows.
    """

    @property
    def name(self) -> str:
        return "covariances"

    def against(self, mixture: Mixture, count: int) -> Measure:
        law = checked(mixture)
        each = [law.components.take(torch.tensor([k])).gaussian for k in range(law.logits.shape[-1])]

        def measure(samples: Tensor) -> Tensor:
            found = Filled.by(law, samples)
            errors = torch.stack([_matrix_error(one, found, k) for k, one in enumerate(each)])
            return (found.share * errors).sum().sqrt()

        return measure


@dataclass(frozen=True, eq=False)
class Filled:
    """A mixture's modes with samples in them.

    Arguments:
        law: The mixture.
        x: The samples, ``(N, D)``.
        joint: Log weight plus log-density of every mode, ``(N, K)``.
    """

    law: Mixture
    x: Tensor
    joint: Tensor

    @classmethod
    def by(cls, law: Mixture, samples: Tensor) -> Filled:
        """Asks the mixture once for its modes' densities."""
        x = samples.to(law.mean)
        return cls(law, x, law.log_joint(x))

    @cached_property
    def r(self) -> Tensor:
        """The responsibilities, ``(N, K)``."""
        return torch.softmax(self.joint, -1)

    @property
    def share(self) -> Tensor:
        """Each mode's share of the samples, ``(K,)``."""
        return self.r.mean(0)

    @cached_property
    def within(self) -> Tensor:
        """Weights of the samples within each mode, which sum to one; zero for a mode that has none."""
        return self.r / self.r.sum(0).clamp_min(torch.finfo(self.r.dtype).tiny)

    @property
    def off(self) -> Tensor:
        """The squared distance of each mode's mean from where it should be, per coordinate, in units of the mode."""
        gaussian = self.law.components.gaussian
        return gaussian.structure.distance(self.within.mT @ self.x - gaussian.location) / gaussian.features


def _matrix_error(gaussian: Gaussian, found: Filled, k: int) -> Tensor:
    weight = found.within[:, k]
    z = gaussian.structure.whiten((found.x - weight @ found.x).unsqueeze(-2)).squeeze(-2)
    matrix = z.mT @ (weight.unsqueeze(-1) * z)
    return (matrix - torch.eye(len(matrix)).to(matrix)).square().sum() / len(matrix)
