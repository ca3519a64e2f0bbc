r"""The continuous ranked probability score: how far a distribution of numbers is from the one that came.

.. math:: \mathrm{CRPS}(F, y) = \int (F(x) - 1\{x \ge y\})^2 dx = E|X - y| - \tfrac12 E|X - X'| ,

in the units of y; lower is better, and in the mean least for the true F. Of one point it is the absolute error. A
mixture of normals has it in closed form (Grimit, Gneiting, Berrocal and Johnson, 2006): with
:math:`A(m, s) = E|N(m, s^2)| = m\,(2\Phi(m/s) - 1) + 2 s\,\varphi(m/s)`,

.. math:: \sum_k w_k A(y - \mu_k, s_k) - \tfrac12 \sum_{jk} w_j w_k A(\mu_j - \mu_k, \sqrt{s_j^2 + s_k^2}) .

For other families the integral is taken by Gauss and Legendre between the quantiles of every component, so that narrow
components far from each other are all resolved; for counts it is a sum. Both need distribution functions.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import Any

import numpy as np
import torch
from torch import Tensor

from ..errors import refuse
from ..mixture import Mixture
from ..mixture.quantile import upper_quantile
from .targets import as_numbers, observed_targets

__all__ = ["crps", "mean_distance"]

_LOGITS = torch.linspace(-34.0, 0.0, 18, dtype=torch.float64)  # of the probabilities in a component's tails
_NODES = 10  # of Gauss and Legendre in each piece
_COUNTS = 2**20  # most terms of a sum over counts
_AT_ONCE = 256  # of them


def crps(mixture: Mixture, y: Any) -> Tensor:
    """Returns the continuous ranked probability score of each target, in the units of y; lower is better.

    Arguments:
        mixture: A mixture of numbers with batch shape ``(*B)``, such as one for each row.
        y: The targets, with shape ``(*S, *B)``, or ``(*S, *B, 1)`` for vectors of one feature.

    Returns:
        The scores, with shape ``(*S, *B)``; for normal components differentiable in all parameters.

    Raises:
        MixtureError: If the mixture is of vectors of several features, shapes do not fit, or a target is NaN.
        NotClosedForm: If the family has no distribution function.

    Example:
        >>> normal = mx.Mixture(torch.ones(1), mx.Normal(torch.zeros(1), torch.ones(1)))
        >>> mx.scoring.crps(normal, torch.tensor([0.0, 3.0]))
        tensor([0.2337, 2.4366])

    Source: Gneiting and Raftery (2007), Strictly proper scoring rules, prediction, and estimation.
    """
    exact, numbers = as_numbers(mixture, observed_targets(mixture, y))
    if mixture.components.is_gaussian:
        return _normal(exact, numbers).to(mixture.dtype)
    rule = _of_counts if mixture.support.is_discrete else _by_quadrature
    with torch.no_grad():
        return rule(exact, numbers).to(mixture.dtype)


def mean_distance(mean: Tensor, scale: Tensor) -> Tensor:
    """Returns the mean absolute value of normal numbers."""
    z = mean / scale
    return mean * torch.erf(z * math.sqrt(0.5)) + scale * math.sqrt(2 / math.pi) * (-0.5 * z.square()).exp()


def _normal(mixture: Mixture, y: Tensor) -> Tensor:
    gaussian, weights = mixture.components.gaussian_law, mixture.weights
    mean, scale = gaussian.mean.squeeze(-1), gaussian.variance.squeeze(-1).sqrt()
    to_target = (weights * mean_distance(y.unsqueeze(-1) - mean, scale)).sum(-1)
    return to_target - 0.5 * _spread(weights, mean, scale)


def _spread(weights: Tensor, mean: Tensor, scale: Tensor) -> Tensor:
    """The mean distance of two draws: the pairs of components that are d apart in their order, for each d."""
    components, total = weights.shape[-1], torch.zeros_like(weights[..., 0])
    for d in range(components):
        one, other = slice(0, components - d), slice(d, components)
        gap = mean_distance(mean[..., one] - mean[..., other], torch.hypot(scale[..., one], scale[..., other]))
        total = total + (2.0 if d else 1.0) * (weights[..., one] * weights[..., other] * gap).sum(-1)
    return total


# -- other families


def _by_quadrature(mixture: Mixture, y: Tensor) -> Tensor:
    """The squares of what lies below, up to the target, and of what lies above, from there on."""
    cuts = _quantiles_of_components(mixture)
    cuts = cuts.reshape(-1, *[1] * (y.ndim - len(mixture.batch_shape)), *mixture.batch_shape).expand(-1, *y.shape)
    below = torch.cat([torch.minimum(cuts, y), y.unsqueeze(0)])
    above = torch.cat([y.unsqueeze(0), torch.maximum(cuts, y)])
    return _integral(lambda x: mixture.cdf(x), below, mixture) + _integral(lambda x: _above(mixture, x), above, mixture)


def _integral(function: Callable[[Tensor], Tensor], cuts: Tensor, mixture: Mixture) -> Tensor:
    """The integral of the square of a function between the first and the last cut, piece by piece."""
    nodes, weights = (torch.as_tensor(array).to(cuts) for array in np.polynomial.legendre.leggauss(_NODES))
    nodes, weights = (one.reshape(-1, *[1] * (cuts.ndim - 1)) for one in (nodes, weights))
    total = torch.zeros_like(cuts[0])
    for low, high in zip(cuts[:-1], cuts[1:], strict=True):
        half = 0.5 * (high - low)
        x = (low + half * (1 + nodes)).reshape(_NODES, *low.shape, *mixture.event_shape)
        total = total + half * (weights * function(x).square()).sum(0)
    return total


def _quantiles_of_components(mixture: Mixture) -> Tensor:
    """Quantiles of each component from one tail to the other, in order, ``(M, *B)``."""
    levels = torch.sigmoid(_LOGITS.to(mixture.device)).reshape(-1, *[1] * len(mixture.batch_shape))
    levels = levels.expand(-1, *mixture.batch_shape)
    found = []
    for k in range(mixture.logits.shape[-1]):
        alone = torch.full_like(mixture.logits, -torch.inf)
        alone[..., k] = 0.0
        one = Mixture._of(alone, mixture.components)
        found += [one.icdf(levels).reshape(levels.shape), upper_quantile(one, levels).reshape(levels.shape)]
    return torch.cat(found).sort(0).values


def _above(mixture: Mixture, x: Tensor) -> Tensor:
    return (mixture.weights * mixture.components.survival(x)).sum(-1)


def _of_counts(mixture: Mixture, y: Tensor) -> Tensor:
    """The sum over counts x of what the integral is from x to x + 1, where F does not change."""
    low, high = _ends(mixture)
    if not high - low < _COUNTS:
        advice = "Take `mx.scoring.energy_score`, which draws."
        refuse("mixture", f"on counts within {_COUNTS:,} of each other", f"from {low:g} to {high:g}", advice)
    total, batch = (low - y).clamp_min(0) + (y - high - 1).clamp_min(0), mixture.batch_shape
    for counts in torch.arange(low, high + 1, dtype=y.dtype, device=y.device).split(_AT_ONCE):
        rows = counts.reshape(-1, *[1] * (len(batch) + len(mixture.event_shape)))
        below = mixture.cdf(rows.expand(-1, *batch, *mixture.event_shape))
        below = below.reshape(-1, *[1] * (y.ndim - len(batch)), *batch)
        x = counts.reshape(-1, *[1] * y.ndim)
        before, after = (y - x).clamp(0, 1), (x + 1 - y).clamp(0, 1)
        total = total + (below.square() * before + (1 - below).square() * after).sum(0)
    return total


def _ends(mixture: Mixture) -> tuple[float, float]:
    """The counts below and above which no row has probability to speak of."""
    rare = torch.full(mixture.batch_shape, 1e-15, dtype=mixture.dtype, device=mixture.device)
    return mixture.icdf(rare).min().item(), upper_quantile(mixture, rare).max().item()
