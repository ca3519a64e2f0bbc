r"""Starts for K + 1 components from a fit of K: each component in turn split in two along its principal axis.

With the largest eigenvalue :math:`\lambda` of :math:`\Sigma_k` and its eigenvector v, component k of weight w becomes
two of weight w/2 at :math:`\mu_k \pm \tfrac12\sqrt\lambda\, v`, with the same covariance. So a search over K keeps what
smaller mixtures found, and its best likelihood rarely falls as K grows.
"""

from __future__ import annotations

import math

import torch
from torch import Tensor

from ...components import Gaussian
from ...mixture import Mixture

__all__ = ["joined", "splits"]


def splits(mixture: Mixture) -> Mixture | None:
    """Returns K mixtures of K + 1 components as one batch ``(K,)``; none for families without a principal axis.

    Example:
        >>> one = mx.Mixture(torch.ones(1), mx.Normal(torch.tensor([1.0]), torch.tensor([2.0])))
        >>> mx.learning.starts.splitting.splits(one).components.loc
        tensor([[0., 2.]])
    """
    if not mixture.components.has_gaussian:
        return None
    count = mixture.logits.shape[-1]
    push = _half_axes(mixture.components.gaussian)
    halves = [_split(mixture, push, k) for k in range(count)]
    tensors = zip(*(_tensors(half) for half in halves), strict=True)
    stacked = (torch.stack(pieces) for pieces in tensors)
    return halves[0].map(lambda _: next(stacked))


def joined(one: Mixture, other: Mixture) -> Mixture:
    """Returns two batches of mixtures of the same kind as one."""
    others = iter(_tensors(other))
    return one.map(lambda tensor: torch.cat([tensor, next(others).to(tensor)]))


def _split(mixture: Mixture, push: Tensor, k: int) -> Mixture:
    index = [*range(mixture.logits.shape[-1]), k]
    components = mixture.components.take(index)
    gaussian = components.gaussian
    step = torch.zeros_like(gaussian.location)
    step[k], step[-1] = -push[k], push[k]
    moved = gaussian._replace(location=gaussian.location + step)
    logits = mixture.logits[index].clone()
    logits[[k, -1]] -= math.log(2)
    return Mixture._of(logits, components.with_gaussian(moved))


def _half_axes(components: Gaussian) -> Tensor:
    """Half a standard deviation along the principal axis of each component, with shape ``(K, D)``."""
    values, vectors = torch.linalg.eigh(components.covariance)
    return 0.5 * values[..., -1:].sqrt() * vectors[..., -1]


def _tensors(mixture: Mixture) -> list[Tensor]:
    return [mixture.logits, *mixture.components.tensors()]
