"""Which centre is nearest to each row, and how far it is: squared differences in torch, zero where a row is on it."""

import torch
from torch import Tensor

from .plan import Plan

__all__ = ["nearest_centre"]


@torch.no_grad()
def nearest_centre(x: Tensor, mean: Tensor) -> tuple[Tensor, Tensor]:
    """Returns the squared distance to the nearest of centres (B, K, D) and its index, both (N, B)."""
    plan = Plan.nearest(mean)
    best = [(-2 * top, index) for top, index in (read.joint.max(1) for read in plan.extra.read(plan, x))]
    distance, index = (torch.cat(field, -1).mT for field in zip(*best, strict=True))
    return distance, index
