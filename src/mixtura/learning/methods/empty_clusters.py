"""Clusters of K-means without rows: each takes one of the rows farthest from their centres."""

from __future__ import annotations

from typing import NamedTuple

from torch import Tensor

from ...components import Statistics
from ...data import Block, Rows
from ...kernels import nearest_centre
from ..expectation.expect import block_size

__all__ = ["refilled"]


class _Row(NamedTuple):
    """A row far from its centre."""

    distance: float
    x: Tensor
    weight: float
    giver: int


def refilled(statistics: Statistics, rows: Rows, mean: Tensor) -> tuple[Tensor, Tensor, Tensor]:
    """Returns weight, shift and scatter with one far row moved to each cluster that has none.

    Arguments:
        statistics: The sums of all rows about the centres.
        rows: The rows; gone through once more.
        mean: The centres, with shape ``(B, K, D)``.
    """
    weight, shift, scatter = (sums.clone() for sums in (statistics.weight, *statistics.moments))
    for b in (weight == 0).any(-1).nonzero().squeeze(-1).tolist():
        empty = (weight[b] == 0).nonzero().squeeze(-1).tolist()
        for taker, row in zip(empty, _farthest(rows, mean[b], len(empty)), strict=False):
            for cluster, sign in ((row.giver, -row.weight), (taker, row.weight)):
                gap = row.x - mean[b, cluster].double()
                weight[b, cluster] += sign
                shift[b, cluster] += sign * gap
                scatter[b] += sign * gap.square().sum()
    return weight, shift, scatter


def _farthest(rows: Rows, mean: Tensor, count: int) -> list[_Row]:
    """Returns the rows farthest from the nearest of the centres ``(K, D)``, farthest first, none of them on one."""
    found = rows.reduce(lambda block: _candidates(block, mean, count), block_size(rows))
    return [row for row in sorted(found, key=lambda row: -row.distance)[:count] if row.distance > 0]


def _candidates(block: Block, mean: Tensor, count: int) -> list[_Row]:
    x, weight = block.vectors, block.weights
    distance, giver = (field.squeeze(1) for field in nearest_centre(x, mean.unsqueeze(0)))
    top = (distance * (weight > 0)).topk(min(count, len(x))).indices.tolist()
    return [_Row(distance[n].item(), x[n].double(), weight[n].item(), int(giver[n])) for n in top if weight[n] > 0]
