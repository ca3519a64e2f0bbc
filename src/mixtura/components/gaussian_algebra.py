"""How covariance structures meet means, and take part in the algebra of Gaussians: noise, pairs and batches."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING

import torch
from torch import Tensor

from ..errors import refuse
from .covariance.structure import Structure

if TYPE_CHECKING:
    from .gaussian import Gaussian

__all__ = ["check", "expanded", "multiplied", "noisy", "pairs", "sound", "spread"]

_HALF_LOG_TWO_PI = 0.5 * math.log(2 * math.pi)


def check(mean: Tensor, structure: Structure, validate_args: bool) -> None:
    """Refuses means that are not finite vectors, and covariances that do not fit them."""
    if not isinstance(mean, Tensor) or mean.ndim < 2 or not mean.is_floating_point():
        got = f"{mean.dtype} {tuple(mean.shape)}" if isinstance(mean, Tensor) else type(mean).__name__
        refuse("mean", "a floating point tensor (..., K, D)", got)
    wanted = (*mean.shape[:-2], 1 if structure.tied else mean.shape[-2])
    if tuple(structure.leading) != wanted or not structure.fits(mean.shape[-1]):
        refuse(
            "covariance", f"values for means of shape {tuple(mean.shape)}", f"a factor {tuple(structure.given.shape)}"
        )
    if structure.given.dtype != mean.dtype:
        refuse("covariance", f"of the means' type {mean.dtype}", structure.dtype)
    if validate_args and not bool(mean.isfinite().all()):
        refuse("mean", "finite", "NaN or infinity")


def sound(structure: Structure, features: int, argument: str, expected: str) -> Structure:
    """The structure itself; where a covariance is singular or worse, the argument that made it so is to blame."""
    if bool(structure.detach().singular(features).any()):
        refuse(argument, expected, "one that makes a covariance singular or indefinite")
    return structure


def noisy(structure: Structure, noise: Tensor | Structure) -> Structure:
    """The structure plus noise: a structure, a variance, a variance for each coordinate, or matrices."""
    if isinstance(noise, Structure):
        return structure.plus(noise)
    add = (structure.plus_spherical, structure.plus_diagonal, structure.plus_full)[min(noise.ndim, 2)]
    return add(noise.unsqueeze(0) if noise.ndim < 3 else noise)


def expanded(structure: Structure, batch: torch.Size) -> Structure:
    """The structure with this batch shape; what components share stays shared."""
    places = len(structure.leading) - 1
    return structure.map(lambda tensor: tensor.expand(*batch, *tensor.shape[places:]))


def spread(structure: Structure, place: int) -> Structure:
    """The structure of pairs that differ in one of the two: a dimension of size one behind K, or before it."""
    return structure.map(lambda tensor: tensor.unsqueeze(len(structure.leading) + place))


def pairs(structure: Structure, shape: torch.Size) -> Structure:
    """The structure of pairs ``(*B, K, K')`` in one row; still tied where all pairs share it."""
    shape = torch.Size((*shape[:-2], 1, 1)) if structure.tied else shape
    places = len(structure.leading)
    spread = structure.map(lambda tensor: tensor.expand(*shape, *tensor.shape[places:]))
    return spread.map(lambda tensor: tensor.flatten(len(shape) - 2, len(shape) - 1))


def multiplied(one: Gaussian, other: Gaussian) -> tuple[Tensor, Structure, Tensor]:
    """Means and structure of the normalised products of each pair, and their log-masses."""
    mine, theirs = spread(one.structure.distinct, 0), spread(other.structure.distinct, -1)
    gap = other.location.unsqueeze(-3) - one.location.unsqueeze(-2)
    total, precision = mine.plus(theirs), mine.inv().plus(theirs.inv())
    log_mass = -0.5 * total.distance(gap) - total.half_logdet(one.features) - one.features * _HALF_LOG_TWO_PI
    mean = one.location.unsqueeze(-2) + precision.solve(theirs.solve(gap))
    combined = sound(precision.inv(), one.features, "other", "of positive definite covariances")
    return mean.flatten(-3, -2), pairs(combined, mean.shape[:-1]), log_mass.flatten(-2)
