r"""Pareto-smoothed importance weights, and what their shape says of the draws.

Of the S ratios :math:`w = p/q` the M = min(S/5, 3 √S) largest are replaced by the order statistics of a generalised
Pareto law fitted to them, :math:`F^{-1}((m - 1/2)/M)`, and cut at the largest (Vehtari, Simpson, Gelman, Yao and Gabry,
2024). Its shape :math:`\hat k` says how many moments the ratios have, :math:`1/\hat k`, and so whether q serves.

The law is fitted by the estimate of Zhang and Stephens (2009): the mean of :math:`b = -k/\sigma` under its profile
likelihood over a grid, and :math:`k = \frac1M \sum_m \log(1 - b x_m)`; ten observations of k = 1/2 are added to it.
"""

from __future__ import annotations

import math
from dataclasses import dataclass

import torch
from torch import Tensor

__all__ = ["Weights", "smoothed"]

_FEW = 5
_ALIKE = 1e-6


@dataclass(frozen=True)
class Weights:
    """Smoothed importance weights.

    Arguments:
        logits: The logs of the weights, ``(S,)``, which sum to one.
        pareto_k: The shape of the ratios' tail: infinite with too few to tell, minus infinity where all are alike.
        log_mean: The log of the mean of the smoothed ratios.
    """

    logits: Tensor
    pareto_k: float
    log_mean: float


def smoothed(log_ratios: Tensor) -> Weights:
    """Returns the weights of draws.

    Arguments:
        log_ratios: Log-ratios ``(S,)`` of the target's density to that of the draws; minus infinity where it is zero.
    """
    largest = float(log_ratios.max())
    if not math.isfinite(largest):
        return Weights(torch.zeros_like(log_ratios).log_softmax(0), math.inf, -math.inf)
    shifted, pareto_k = _smoothed(log_ratios - largest)
    log_mean = largest + float(shifted.logsumexp(0)) - math.log(len(shifted))
    return Weights(shifted.log_softmax(0), pareto_k, log_mean)


def _smoothed(shifted: Tensor) -> tuple[Tensor, float]:
    """Returns log-ratios below zero with their tail smoothed, and its shape."""
    ordered, order = shifted.sort()
    if float(ordered[0]) > -_ALIKE:
        return shifted, -math.inf
    tail = ordered[-_tail_length(len(ordered)) :]
    cut = max(float(ordered[-len(tail) - 1]), math.log(torch.finfo(ordered.dtype).tiny))
    excess = (tail[tail > cut].exp() - math.exp(cut)).clamp_min(0.0)
    if len(excess) < _FEW or float(excess[-1] - excess[0]) <= 0:
        return shifted, math.inf
    k, scale = _fit(excess)
    smooth = (math.exp(cut) + _quantiles(len(excess), k, scale).to(excess)).log().clamp_max(0.0)
    return shifted.index_copy(0, order[-len(excess) :], smooth), k


def _tail_length(count: int) -> int:
    return math.ceil(min(0.2 * count, 3 * math.sqrt(count)))


def _fit(excess: Tensor) -> tuple[float, float]:
    """Returns shape and scale of the generalised Pareto law of sorted excesses ``(M,)``."""
    count = len(excess)
    points = 30 + int(math.sqrt(count))
    quartile = float(excess[int(count / 4 + 0.5) - 1].clamp_min(torch.finfo(excess.dtype).tiny))
    grid = torch.arange(1, points + 1, dtype=excess.dtype)
    b = (1 - (points / (grid - 0.5)).sqrt()) / (3 * quartile) + 1 / excess[-1]
    shapes = torch.log1p(-b.unsqueeze(-1) * excess).mean(-1)
    profile = count * ((-b / shapes).log() - shapes - 1)
    middle = (torch.softmax(profile.nan_to_num(-torch.inf), 0) * b).sum()
    k = float(torch.log1p(-middle * excess).mean())
    scale = -k / float(middle)
    return (count * k + 5) / (count + 10), scale


def _quantiles(count: int, k: float, scale: float) -> Tensor:
    p = (torch.arange(count, dtype=torch.float64) + 0.5) / count
    unit = torch.expm1(-k * torch.log1p(-p)) / k if abs(k) > 1e-9 else -torch.log1p(-p)
    return scale * unit
