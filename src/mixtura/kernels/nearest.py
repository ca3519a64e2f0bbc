r"""One pass of K-means over the rows: each goes to its nearest centre and adds to that centre's sums only.

.. math:: k_n = \arg\min_k |x_n - \mu_k|^2, \qquad N_k = \sum_{k_n = k} w_n, \qquad
    f_k = \sum_{k_n = k} w_n (x_n - \mu_k), \qquad J = \sum_n w_n \min_k |x_n - \mu_k|^2 .

No density is computed and no responsibility is stored. The torch expression is the reference; where numba is worth it
the same is done tile by tile in compiled code, with distances as sums of squared differences in both.
"""

from __future__ import annotations

from functools import reduce
from operator import add
from typing import NamedTuple

import torch
from torch import Tensor

from .choose import faster

__all__ = ["Clusters", "nearest", "nearest_pass"]

_DISTANCES = 1 << 18  # how many distances a block of the torch expression holds


class Clusters(NamedTuple):
    """Sums over the rows of each cluster, in float64.

    Attributes:
        weight: (B, K), the weight of the rows.
        shift: (B, K, D), the weighted sum of the rows less the current centre.
        inertia: (B,), the weighted sum of squared distances to the nearest centre.
    """

    weight: Tensor
    shift: Tensor
    inertia: Tensor


@torch.no_grad()
def nearest_pass(x: Tensor, weight: Tensor | None, mean: Tensor) -> Clusters:
    """Returns the sums of rows ``(N, D)`` with weights ``(N,)`` about the nearest of centres ``(B, K, D)``."""
    if faster(x, mean):
        from .numba import nearest as nearest_numba

        return Clusters(*nearest_numba.sums(x, weight, mean))
    blocks = [_sums(rows, w, mean) for rows, w in _blocks(x, weight, mean)]
    return Clusters(*(reduce(add, field) for field in zip(*blocks, strict=True)))


@torch.no_grad()
def nearest(x: Tensor, mean: Tensor) -> tuple[Tensor, Tensor]:
    """Returns the squared distance to the nearest of centres ``(B, K, D)`` and its index, both ``(N, B)``."""
    parts = [_nearest(rows, mean) for rows, _ in _blocks(x, None, mean)]
    distance, index = zip(*parts, strict=True)
    return torch.cat(distance), torch.cat(index)


def _blocks(x: Tensor, weight: Tensor | None, mean: Tensor) -> list[tuple[Tensor, Tensor]]:
    height = max(32, _DISTANCES // (mean.shape[0] * mean.shape[1]))
    weights = x.new_ones(len(x)) if weight is None else weight
    return list(zip(x.split(height), weights.split(height), strict=True))


def _nearest(x: Tensor, mean: Tensor) -> tuple[Tensor, Tensor]:
    squared = mean.new_zeros(len(x), *mean.shape[:2])
    for d in range(x.shape[-1]):
        squared.add_((x[:, d, None, None] - mean[..., d]).square_())
    smallest = squared.min(-1)
    return smallest.values, smallest.indices


def _sums(x: Tensor, weight: Tensor, mean: Tensor) -> tuple[Tensor, Tensor, Tensor]:
    distance, index = _nearest(x, mean)
    r = torch.zeros(*index.shape, mean.shape[1], dtype=torch.float64, device=x.device)
    r = r.scatter_(-1, index.unsqueeze(-1), weight.double().reshape(-1, 1, 1).expand(*index.shape, 1))
    mass = r.sum(0)
    origin = mean[:, 0].double()  # sums about a near point keep their digits
    first = torch.einsum("nbk,nbd->bkd", r, x.double().unsqueeze(1) - origin)
    shift = first - mass.unsqueeze(-1) * (mean.double() - origin.unsqueeze(1))
    return mass, shift, (distance.double() * weight.double().unsqueeze(-1)).sum(0)
