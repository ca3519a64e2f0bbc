r"""Gaussians as real numbers: means, logarithms of scales, and what makes of these a factor of the covariance.

.. math:: L = \mathrm{diag}(s)\, T, \qquad s = e^u + \epsilon, \qquad T_{ij} = 0 \ (j > i), \quad T_{ii} = 1,

so that a change of units moves means and u alone, and the curvature of a log-density in u is of the order of one at any
scale. The loadings of low rank are counted in units of the noise's scale in the same way. The least scale
:math:`\epsilon` keeps a component that shrinks onto a row a density. No root, no quotient and no check is needed.
"""

from __future__ import annotations

from collections.abc import Sequence
from functools import singledispatch

import torch
from torch import Tensor

from ..components import Component, Diagonal, Full, Gaussian, LowRank, Spherical, Structure
from ..components.covariance.shared import VolumeShape
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
        self.shapes = [(components, features), *((shared, *shape) for shape in shapes(structure, features))]

    def start(self) -> Tensor:
        location, scale, *others = map(torch.Size, self.shapes)
        return joined([torch.randn(location), torch.zeros(scale), *(0.1 * torch.randn(one) for one in others)])

    def at(self, numbers: Tensor) -> Gaussian:
        pieces = numbers.split([torch.Size(shape).numel() for shape in self.shapes], -1)
        location, log_scale, *others = (
            one.unflatten(-1, shape) for one, shape in zip(pieces, self.shapes, strict=True)
        )
        scale = log_scale.clamp(-_FAR, _FAR).exp() + self.least
        return Gaussian._of(location=location, structure=built(self.structure, scale, others))

    def numbers(self, components: Component) -> Tensor:
        """Scales below twice the least are taken for twice the least."""
        gaussian = components.gaussian
        scale, *others = parts(gaussian.structure)
        beyond = torch.maximum(scale - self.least, 0.5 * scale).clamp_min(self.least)
        return joined([gaussian.location, beyond.log(), *others])

    def units(self, components: Component) -> Tensor:
        gaussian = components.gaussian
        others = (torch.ones(shape).to(gaussian.location) for shape in self.shapes[1:])
        return joined([gaussian.variance.sqrt(), *others])


# -- what a structure is made of: scales, and perhaps one tensor more


@singledispatch
def shapes(structure: Structure, features: int) -> Sequence[tuple[int, ...]]:
    """Returns the shapes of the scales, and of the rest of the factor, behind K."""
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


@shapes.register
def _(structure: Full, features: int) -> Sequence[tuple[int, ...]]:
    return (features,), (features * (features - 1) // 2,)


@built.register
def _(structure: Full, scale: Tensor, others: Sequence[Tensor]) -> Full:
    rows, columns = _below(scale.shape[-1])
    factor = torch.diag_embed(scale)
    factor[..., rows, columns] = others[0] * scale[..., rows]
    return structure._replace(factor=factor)


@parts.register
def _(structure: Full) -> tuple[Tensor, ...]:
    scale = structure.given.diagonal(dim1=-2, dim2=-1)
    rows, columns = _below(scale.shape[-1])
    return scale, structure.given[..., rows, columns] / scale[..., rows]


def _below(features: int) -> tuple[Tensor, Tensor]:
    rows, columns = torch.tril_indices(features, features, -1)
    return rows, columns


@shapes.register
def _(structure: LowRank, features: int) -> Sequence[tuple[int, ...]]:
    return (features,), (features, structure.rank)


@built.register
def _(structure: LowRank, scale: Tensor, others: Sequence[Tensor]) -> LowRank:
    scale = scale.unsqueeze(-1)
    return structure._replace(factor=torch.cat([others[0] * scale, scale], -1))


@parts.register
def _(structure: LowRank) -> tuple[Tensor, ...]:
    scale = structure.given[..., -1]
    return scale, structure.loadings / scale.unsqueeze(-1)
