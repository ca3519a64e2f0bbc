"""Slopes of Gaussians in local coordinates, and steps in them; see `mixtura.components.climbing`."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import torch
from torch import Tensor

from .climbing import Slopes
from .covariance.structure import Structure

if TYPE_CHECKING:
    from .gaussian import Gaussian

__all__ = ["moment_slopes", "stepped"]


def moment_slopes(gaussian: Gaussian, weight: Tensor, shift: Tensor, scatter: Tensor, prior: Any = None) -> Slopes:
    """Returns the slopes that moments about the means imply, in which rows may count otherwise than in the weights."""
    structure = gaussian.structure.map(Tensor.double)
    divisor = structure.pool(weight)
    if prior is not None:
        weight, shift, scatter, divisor = prior.add(gaussian, weight, shift, scatter)
    slope, bend = structure.local_slopes(divisor, scatter, gaussian.features)
    inner = structure.whiten(shift)
    parts = (inner, slope), (weight.unsqueeze(-1).expand_as(inner), bend)
    return Slopes(*(torch.cat([part.flatten(1) for part in pair], 1) for pair in parts))


def stepped(gaussian: Gaussian, step: Tensor) -> tuple[Tensor, Structure]:
    """Returns means and covariances after steps ``(B, P)`` in local coordinates."""
    means, rest = step.tensor_split([gaussian.location[0].numel()], 1)
    structure = gaussian.structure.map(Tensor.double)
    location = gaussian.location.double() + structure.color(means.reshape(gaussian.location.shape))
    structure = structure.stepped(rest)
    return location.to(gaussian.dtype), structure.to(gaussian.dtype)
