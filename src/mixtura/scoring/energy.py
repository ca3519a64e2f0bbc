r"""The energy score: the continuous ranked probability score of vectors.

.. math:: \mathrm{ES}(F, y) = E|X - y| - \tfrac12 E|X - X'| ,

with Euclidean distances. For Gaussian components both are mean lengths of Gaussian vectors Z, which are integrals over
one number (from :math:`|z| = \pi^{-1/2} \int_{-\infty}^{\infty} (1 - e^{-t |z|^2})\, e^{-u} du` at :math:`t = e^{2u}`),

.. math:: E|Z| = \frac{1}{\sqrt\pi} \int \Big(1 - \prod_d \frac{e^{-t m_d^2 / (1 + 2 t \lambda_d)}}
    {\sqrt{1 + 2 t \lambda_d}}\Big) e^{-u} du ,

where m is the mean in the axes of the covariance and :math:`\lambda` the variances along them. With
:math:`u = 2 \sinh v` the integrand is smooth and falls faster than any exponential, and the trapezoid rule is exact to
rounding. All other families are drawn from, in pairs.
"""

from __future__ import annotations

import math
from typing import Any

import torch
from torch import Generator, Tensor

from ..components import Gaussian
from ..components.covariance.columns import times
from ..divergences import Estimate
from ..errors import refuse
from ..mixture import Mixture
from .crps import crps
from .targets import observed_targets

__all__ = ["energy_score", "mean_length"]

_STEP, _END = 0.06, 3.6


def energy_score(mixture: Mixture, y: Any, samples: int = 1000, generator: Generator | None = None) -> Estimate:
    """Returns the energy score of each target, in the units of y; lower is better.

    Exact for Gaussian components, without gradients; for others the mean over draws, with its standard error.

    Arguments:
        mixture: A mixture with batch shape ``(*B)``, such as one for each row.
        y: The targets, with shape ``(*S, *B, *event)``.
        samples: The number of pairs of draws, where there is no exact form; at least 2.
        generator: The source of randomness.

    Returns:
        ``value`` and ``standard_error``, each with shape ``(*S, *B)``; the latter is zero where the former is exact.

    Raises:
        MixtureError: If shapes do not fit, or a target is NaN.

    Example:
        >>> round_one = mx.Mixture(torch.ones(1), mx.Gaussian(torch.zeros(1, 2), torch.eye(2)[None]))
        >>> mx.scoring.energy_score(round_one, torch.tensor([[0.0, 0.0], [3.0, 4.0]])).value
        tensor([0.3671, 4.2148])

    Source: Gneiting and Raftery (2007), Strictly proper scoring rules, prediction, and estimation.
    """
    targets = observed_targets(mixture, y)
    if mixture.components.is_gaussian:
        value = crps(mixture, targets) if mixture.event_shape.numel() == 1 else _exact(mixture, targets)
        return Estimate(value, torch.zeros_like(value))
    if not samples >= 2:
        refuse("samples", "at least 2, for a standard error", samples)
    return _drawn(mixture, targets, samples, generator)


def mean_length(mean: Tensor, variance: Tensor) -> Tensor:
    """Returns the mean length of Gaussian vectors of independent coordinates, ``(..., D)`` to ``(...)``."""
    shape = torch.broadcast_shapes(mean.shape, variance.shape)
    unit = (mean.square() + variance).sum(-1, keepdim=True).sqrt()
    square, spread = (mean / unit).square(), 2 * (variance / unit.square())
    total = mean.new_zeros(shape[:-1])
    for step in range(-round(_END / _STEP), round(_END / _STEP) + 1):
        v = step * _STEP
        u = 2 * math.sinh(v)
        time = math.exp(2 * u)
        grown = spread * time
        exponent = (0.5 * grown.log1p() + square * time / (1 + grown)).sum(-1)
        total = total - torch.expm1(-exponent) * (2 * math.cosh(v) * math.exp(-u))
    return unit.squeeze(-1) * total * (_STEP / math.sqrt(math.pi))


@torch.no_grad()
def _exact(mixture: Mixture, y: Tensor) -> Tensor:
    exact = mixture.to(torch.float64)
    gaussian, weights = exact.components.gaussian_law, exact.weights
    axes, variance = gaussian.structure.distinct.in_own_axes(gaussian.features)
    residual = times(axes.mT, y.double().unsqueeze(-2) - gaussian.location)
    to_target = (weights * mean_length(residual, variance)).sum(-1)
    return (to_target - 0.5 * _spread(weights, gaussian)).to(mixture.dtype)


def _spread(weights: Tensor, gaussian: Gaussian) -> Tensor:
    """The mean distance of two draws: the pairs of components that are d apart in their order, for each d."""
    covariance = gaussian.structure.distinct.dense(gaussian.features)
    covariance = covariance.expand(*covariance.shape[:-3], weights.shape[-1], -1, -1)
    total = torch.zeros_like(weights[..., 0])
    for d in range(weights.shape[-1]):
        one, other = slice(0, weights.shape[-1] - d), slice(d, weights.shape[-1])
        variance, axes = torch.linalg.eigh(covariance[..., one, :, :] + covariance[..., other, :, :])
        gap = times(axes.mT, gaussian.location[..., one, :] - gaussian.location[..., other, :])
        pairs = weights[..., one] * weights[..., other] * mean_length(gap, variance)
        total = total + (2.0 if d else 1.0) * pairs.sum(-1)
    return total


def _drawn(mixture: Mixture, y: Tensor, samples: int, generator: Generator | None) -> Estimate:
    shape = y.shape[: y.ndim - len(mixture.event_shape)]
    outer = shape[: len(shape) - len(mixture.batch_shape)]
    one, other = (mixture.sample((samples, *outer), generator) for _ in range(2))
    length = torch.abs if not mixture.event_shape else lambda x: torch.linalg.vector_norm(x, dim=-1)
    each = 0.5 * (length(one - y) + length(other - y) - length(one - other))
    return Estimate(each.mean(0), each.std(0) / math.sqrt(samples))
