"""How covariance structures take part in the algebra of Gaussians: noise, pairs and batches."""

from __future__ import annotations

import torch
from torch import Tensor

from ..errors import refuse
from .covariance.structure import Structure

__all__ = ["expanded", "noisy", "pairs", "sound", "spread"]


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
