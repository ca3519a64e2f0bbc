r"""The law of what is recorded, in the least general structure.

.. math:: y | k \sim N(A\mu_k + b,\; A V_k A^\top + S)
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import torch
from torch import Tensor

from ..components import Component, Diagonal, Full, Gaussian, Spherical, Structure
from ..components.covariance.full import factored
from ..components.covariance.posterior import refuse_singular
from ..components.gaussian_algebra import expanded
from .base import aligned
from .matrices import Placed, image, square_root

if TYPE_CHECKING:
    from .linear import Linear

__all__ = ["recorded_law", "trusted_law"]


def recorded_law(observation: Linear, components: Component) -> Component:
    """Returns the law of what is recorded under each component, where nothing is missing."""
    gaussian = components.gaussian_law
    mean = image(observation.matrix, gaussian.location, components) + aligned(observation.offset, components)
    structure = _structure(observation, gaussian)
    refuse_singular(structure.detach().singular(observation.width))
    return components.with_gaussian(_placed(mean, structure))


def _placed(mean: Tensor, structure: Structure) -> Gaussian:
    """The Gaussians of means ``(..., K, M)`` and structures, each expanded to the batch of both."""
    batch = torch.broadcast_shapes(mean.shape[:-2], structure.leading[:-1])
    return Gaussian._of(location=mean.expand(*batch, *mean.shape[-2:]), structure=expanded(structure, batch))


def trusted_law(observation: Linear, components: Component, placed: Placed = aligned) -> Gaussian:
    """Returns the same law as Gaussians on vectors, without a look at a number: in the structure that always holds."""
    gaussian = components.gaussian_law
    offset = placed(observation.offset, gaussian)
    mean = image(observation.matrix, gaussian.location, gaussian, placed) + offset
    clean, noise = gaussian.structure, placed(observation.noise, gaussian)
    if observation.matrix is not None:
        matrix = placed(observation.matrix, gaussian)
        errors = torch.diag_embed(noise) if observation.diagonal else noise
        structure = factored(matrix @ clean.dense(gaussian.features) @ matrix.mT + errors, False)
    else:
        structure = clean.plus_diagonal(noise) if observation.diagonal else clean.plus_full(noise)
    return _placed(mean, structure)


def _structure(observation: Linear, gaussian: Gaussian) -> Structure:
    """What the errors make of the covariances, seen through A."""
    clean, noise = gaussian.structure.distinct, aligned(observation.noise, gaussian)
    if observation.matrix is not None:
        return clean.image(aligned(observation.matrix, gaussian), _errors(noise, observation.diagonal))
    if not observation.diagonal:
        return clean.plus_full(noise)
    return clean.plus_spherical(noise[..., 0]) if _round(noise) else clean.plus_diagonal(noise)


def _errors(noise: Tensor, diagonal: bool) -> Structure:
    """The errors' covariances as a structure, tied where components share them; they may be singular."""
    if not diagonal:
        return Full._of(factor=square_root(noise), tied=noise.shape[-3] == 1)
    tied, scale = noise.shape[-2] == 1, noise.sqrt()
    if _round(noise):
        return Spherical._of(factor=scale[..., 0], tied=tied)
    return Diagonal._of(factor=scale, tied=tied)


def _round(noise: Tensor) -> bool:
    """Whether errors are the same in all directions; one look on the host."""
    return bool((noise == noise[..., :1]).all())
