r"""Families with a Gaussian inside: on vectors, or on numbers, which are vectors of one feature with their axis hidden.

A normal law is the Gaussian itself, a log-normal one the image of a Gaussian of logarithms, a Student-t one spreads the
tails of a Gaussian. Here, once for all of them, a number gains its axis on the way in and loses it on the way out.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Self

import torch
from torch import Tensor
from torch.distributions import constraints

from ..errors import refuse
from .argument import Argument
from .base import Component
from .climbing import Slopes
from .covariance.spherical import Spherical
from .covariance.structure import Structure
from .gaussian import Gaussian
from .starting_moments import starting_moments
from .statistics import Statistics

__all__ = ["GaussianInside", "arguments", "gaussian_of_numbers", "made", "read", "starting_gaussian"]


@dataclass(frozen=True, eq=False, repr=False, init=False)
class GaussianInside(Component):
    """K members of a family that is made from Gaussians ``inner``, on vectors or on numbers."""

    inner: Gaussian
    vectors: bool = True

    def _set_inner(self, loc: Tensor, scale: Tensor | float | Structure) -> None:
        """Keeps the Gaussian of these centres: a structure is one on vectors, scales are those of numbers."""
        vectors = isinstance(scale, Structure)
        inner = Gaussian(loc, scale) if isinstance(scale, Structure) else gaussian_of_numbers(loc, scale)
        object.__setattr__(self, "inner", inner)
        object.__setattr__(self, "vectors", vectors)

    def verify(self) -> None:
        super().verify()
        if not self.vectors and self.inner.features != 1:
            refuse("inner", "of one feature", f"{self.inner.features} features")

    # -- what it is

    @property
    def gaussian(self) -> Gaussian:
        return self.inner

    @property
    def sums_add(self) -> bool:
        return True

    @property
    def has_gaussian(self) -> bool:
        return True

    def with_gaussian(self, gaussian: Gaussian) -> Self:
        if not self.vectors and gaussian.features != 1:
            refuse("gaussian", "of one feature", f"{gaussian.features} features")
        return self._replace(inner=gaussian)

    @property
    def log_volume(self) -> Tensor:
        return self.inner.log_volume

    @property
    def batch_shape(self) -> torch.Size:
        return self.inner.batch_shape

    @property
    def event_shape(self) -> torch.Size:
        return self.inner.event_shape if self.vectors else torch.Size()

    @property
    def features(self) -> int:
        """The number of coordinates D."""
        return self.inner.features

    @property
    def parameters(self) -> int:
        return self.inner.parameters

    @property
    def loc(self) -> Tensor:
        """The centres of the Gaussians inside, with shape ``(*B, K, *event)``."""
        return self._event(self.inner.location)

    # -- learning

    @property
    def climbs(self) -> bool:
        return self.inner.climbs

    def slopes(self, statistics: Statistics, prior: Any = None) -> Slopes:
        return self.inner.slopes(statistics, prior)

    def stepped(self, step: Tensor) -> Self:
        return self.with_gaussian(self.inner.stepped(step))

    @property
    def shares(self) -> bool:
        return self.inner.shares

    def holding_means(self, statistics: Statistics) -> Statistics:
        return self.inner.holding_means(statistics)

    def with_moments_of(self, old: Self, means: bool, covariances: bool) -> Self:
        return self.with_gaussian(self.inner.with_moments_of(old.inner, means, covariances))

    def with_frozen(self, old: Self, free: Tensor) -> Self:
        return self.with_gaussian(self.inner.with_frozen(old.inner, free))

    def held_parameters(self, frozen: Sequence[int], means: bool, covariances: bool) -> int:
        return self.inner.held_parameters(frozen, means, covariances)

    def untied(self) -> Self:
        return self.with_gaussian(self.inner.untied())

    # -- the hidden axis

    def _vector(self, x: Tensor) -> Tensor:
        """Rows as vectors."""
        return x if self.vectors else x.unsqueeze(-1)

    def _event(self, vectors: Tensor) -> Tensor:
        """Vectors as rows."""
        return vectors if self.vectors else vectors.squeeze(-1)

    def _image(self, matrix: Tensor | float, offset: Tensor | float | None) -> Self:
        """The Gaussian inside under ``matrix @ x + offset``, or numbers where x is one."""
        if self.vectors:
            return self.with_gaussian(self.inner.affine(matrix, offset))  # type: ignore[arg-type]
        shift = None if offset is None else self._number(offset).unsqueeze(-1)
        return self.with_gaussian(self.inner.affine(self._number(matrix)[..., None, None], shift))

    def _number(self, value: Tensor | float) -> Tensor:
        return torch.as_tensor(value, dtype=self.dtype, device=self.device)


def starting_gaussian(structure: Structure, x: Tensor, r: Tensor) -> Gaussian:
    """Returns Gaussians at the centres of responsibilities ``(N, B, K)`` of rows ``(N, D)``, or of numbers ``(N,)``."""
    location, structure = starting_moments(structure, x.reshape(len(x), -1), r)
    return Gaussian._of(location=location, structure=structure)


def arguments(structure: Structure, features: int | None, centre: str = "loc") -> dict[str, Argument]:
    """Returns the parameters of the Gaussians inside by name: of numbers, a centre and a scale."""
    if features is None:
        return {centre: Argument(constraints.real), "scale": Argument(constraints.positive, (), structure.tied)}
    return {centre: Argument(constraints.real, (features,)), **structure.arguments(features)}


def made(structure: Structure, values: Mapping[str, Tensor], features: int | None, centre: str = "loc") -> Gaussian:
    """Returns the Gaussians of parameters by name, without a look at a number."""
    if features is None:
        round_one = Spherical._of(factor=values["scale"], tied=structure.tied)
        return Gaussian._of(location=values[centre].unsqueeze(-1), structure=round_one)
    return Gaussian._of(location=values[centre], structure=structure.made(values))


def read(components: GaussianInside | Gaussian) -> dict[str, Tensor]:
    """Returns scales, and correlations if any, of the Gaussians inside by name."""
    gaussian, vectors = components.gaussian, bool(components.event_shape)
    if vectors:
        return gaussian.structure.read(gaussian.features)
    return {"scale": gaussian.structure.scales(1).squeeze(-1)}


def gaussian_of_numbers(loc: Tensor, scale: Tensor | float, validate_args: bool = True) -> Gaussian:
    """Returns the Gaussians of one feature with these centres and scales ``(*B, K)``; refuses what is neither."""
    if not isinstance(loc, Tensor) or loc.ndim < 1 or not loc.is_floating_point():
        refuse("loc", "a floating point tensor (..., K)", getattr(loc, "shape", type(loc).__name__))
    scale = torch.as_tensor(scale, dtype=loc.dtype, device=loc.device)
    if validate_args and not bool(((scale > 0) & scale.isfinite()).all()):
        refuse("scale", "positive and finite (a standard deviation)", scale.detach().min().item())
    loc, scale = torch.broadcast_tensors(loc, scale)
    return Gaussian(loc.unsqueeze(-1), Spherical._of(factor=scale, tied=False), validate_args=validate_args)
