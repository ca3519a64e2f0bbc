r"""Gaussians as real numbers: means, logarithms of scales, and what makes of these a factor of the covariance.

.. math:: L = \mathrm{diag}(s)\, T, \qquad s = e^u + \epsilon, \qquad T_{ij} = 0 \ (j > i), \quad T_{ii} = 1,

so that a change of units moves means and u alone, and the curvature of a log-density in u is of the order of one at any
scale. The loadings of low rank are counted in units of the noise's scale in the same way. The least scale
:math:`\epsilon` keeps a component that shrinks onto a row a density. No root, no quotient and no check is needed. For
each entry the numbers of all components stand side by side, (*B, D, K): what arithmetic on small matrices wants.
"""

from __future__ import annotations

from collections.abc import Sequence
from functools import singledispatch
from typing import Any

import torch
from torch import Tensor

from ..components import Component, Diagonal, Full, Gaussian, LowRank, Spherical, Structure
from ..components.covariance.shared import VolumeShape
from ..components.covariance.unit_triangle import UnitTriangle
from ..errors import NotClosedForm
from .chart import Chart, joined

__all__ = ["FactorChart"]

_FAR = 40.0  # of the logarithm of a scale: squares of more would overflow in single precision


class FactorChart(Chart):
    """The numbers of Gaussians.

    Arguments:
        features: The number of features D.
        components: The number of components K.
        structure: The covariance structure, without values.
        least: What is added to every scale, at least 0.

    Raises:
        NotClosedForm: If the structure has no factor that is free to move entry by entry.
    """

    def __init__(self, features: int, components: int, structure: Structure, least: float) -> None:
        self.features, self.components, self.structure, self.least = features, components, structure, least
        self.event_shape = torch.Size((features,))
        shared = 1 if structure.tied else components
        each = ((*shape, shared) for shape in shapes(structure, features))
        self.shapes = [torch.Size(shape) for shape in ((features, components), *each)]

    def start(self) -> Tensor:
        location, scale, *others = self.shapes
        return joined([torch.randn(location), torch.zeros(scale), *(0.1 * torch.randn(one) for one in others)])

    def at(self, numbers: Sequence[Tensor]) -> Gaussian:
        location, log_scale, *others = numbers
        scale: Tensor = _Exponential.apply(log_scale) + self.least  # type: ignore[operator]
        return Gaussian._of(location=location.mT, structure=built(self.structure, scale, others))

    def numbers(self, components: Component) -> Tensor:
        """Scales below twice the least are taken for twice the least."""
        gaussian = components.gaussian
        scale, *others = parts(gaussian.structure)
        beyond = torch.maximum(scale - self.least, 0.5 * scale).clamp_min(self.least)
        return joined([gaussian.location.mT, beyond.log(), *others])

    def units(self, components: Component) -> Tensor:
        gaussian = components.gaussian
        others = (torch.ones(shape).to(gaussian.location) for shape in self.shapes[1:])
        return joined([gaussian.variance.sqrt().mT, *others])


class _Exponential(torch.autograd.Function):
    """The exponential, which ends where the square of a scale would overflow, and whose slope there is not lost."""

    @staticmethod
    def forward(ctx: Any, number: Tensor) -> Tensor:
        scale = number.clamp(-_FAR, _FAR).exp_()
        ctx.save_for_backward(scale)
        return scale

    @staticmethod
    def backward(ctx: Any, *incoming: Tensor) -> Tensor:
        return incoming[0] * ctx.saved_tensors[0]


# -- what a structure is made of: scales, and perhaps one tensor more, with the components last


@singledispatch
def shapes(structure: Structure, features: int) -> Sequence[tuple[int, ...]]:
    """Returns the shapes of the scales, and of the rest of the factor, before K."""
    raise NotClosedForm(f"{structure.name} covariances have no factor that is free to move entry by entry.")


@singledispatch
def built(structure: Structure, scale: Tensor, others: Sequence[Tensor]) -> Structure:
    """Returns the structure at scales and the rest of the factor, in units of the scales."""
    return structure._replace(factor=scale)


@singledispatch
def parts(structure: Structure) -> tuple[Tensor, ...]:
    """Returns the scales and the rest of the factor in units of them: the inverse of `built`."""
    return (structure.given,)


shapes.register(VolumeShape, shapes.dispatch(object))  # what is shared in part is not free


@shapes.register
def _(structure: Spherical, features: int) -> Sequence[tuple[int, ...]]:
    return ((),)


@shapes.register
def _(structure: Diagonal, features: int) -> Sequence[tuple[int, ...]]:
    return ((features,),)


@built.register
def _(structure: Diagonal, scale: Tensor, others: Sequence[Tensor]) -> Diagonal:
    return structure._replace(factor=scale.mT)


@parts.register
def _(structure: Diagonal) -> tuple[Tensor, ...]:
    return (structure.given.mT,)


@shapes.register
def _(structure: Full, features: int) -> Sequence[tuple[int, ...]]:
    return (features,), (features * (features - 1) // 2,)


@built.register
def _(structure: Full, scale: Tensor, others: Sequence[Tensor]) -> Structure:
    """Triangles as they are, where each context has its own; matrices where there is but one mixture."""
    found = UnitTriangle(scale.mT, others[0].mT, tied=structure.tied)
    return found if scale.ndim > 2 else found.full(scale.shape[-2])


@parts.register
def _(structure: Full) -> tuple[Tensor, ...]:
    lower = structure.given.movedim(-3, -1)
    scale = lower.diagonal(dim1=-3, dim2=-2).mT
    rows, columns = torch.tril_indices(scale.shape[-2], scale.shape[-2], -1)
    return scale, lower[..., rows, columns, :] / scale[..., rows, :]


@shapes.register
def _(structure: LowRank, features: int) -> Sequence[tuple[int, ...]]:
    return (features,), (features, structure.rank)


@built.register
def _(structure: LowRank, scale: Tensor, others: Sequence[Tensor]) -> LowRank:
    scale = scale.unsqueeze(-2)
    return structure._replace(factor=torch.cat([others[0] * scale, scale], -2).movedim(-1, -3))


@parts.register
def _(structure: LowRank) -> tuple[Tensor, ...]:
    factor = structure.given.movedim(-3, -1)
    scale = factor[..., -1, :]
    return scale, factor[..., :-1, :] / scale.unsqueeze(-2)
