"""The mean of some coordinates of Gaussians given others: lines, of which one pass over rows takes the expectation."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

from torch import Tensor

from ..kernels.expected_lines import expected_lines, serves_lines
from .base import Component
from .covariance.regression import gains
from .route import Route

if TYPE_CHECKING:
    from .gaussian import Gaussian

__all__ = ["conditional_mean"]


def conditional_mean(gaussian: Gaussian, logits: Tensor, dims: Sequence[int], values: Tensor) -> Tensor:
    """Returns the means of the other coordinates, by a pass where one serves rows of one mixture."""
    known, free = list(dims), [d for d in range(gaussian.features) if d not in set(dims)]
    given, rows = gaussian.marginal(known), values.reshape(-1, len(known))
    plain = given.route(values, logits, *gaussian.tensors()) is not Route.PASS
    if plain or not serves_lines(plan := given.density_plan(logits), rows):
        return Component.conditional_mean(gaussian, logits, dims, values)
    level = gaussian.location[:, free]
    slope = gains(gaussian.structure.distinct, known, free).expand(*level.shape, len(known))
    return expected_lines(plan, level, slope, rows).reshape(*values.shape[:-1], len(free))
