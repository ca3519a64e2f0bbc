r"""Gaussians as real numbers: means, logarithms of scales, and what makes of these a factor of the covariance.

.. math:: L = \mathrm{diag}(s)\, T, \qquad s = e^u + \epsilon, \qquad T_{ij} = 0 \ (j > i), \quad T_{ii} = 1,

so that a change of units moves means and u alone, and the curvature of a log-density in u is of the order of one at any
scale. The loadings of low rank are counted in units of the noise's scale in the same way. The least scale
:math:`\epsilon` keeps a component that shrinks onto a row a density. No root, no quotient and no check is needed. For
each entry the numbers of all components stand side by side, (*B, D, K): what arithmetic on small matrices wants.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any, NamedTuple

import torch
from torch import Tensor

from ..components import Component, Diagonal, Full, Gaussian, LowRank, Spherical, Structure
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
        each = ((*shape, shared) for shape in _form(structure).shapes(structure, features))
        self.shapes = [torch.Size(shape) for shape in ((features, components), *each)]

    def start(self) -> Tensor:
        location, scale, *others = self.shapes
        return joined([torch.randn(location), torch.zeros(scale), *(0.1 * torch.randn(one) for one in others)])

    def at(self, numbers: Sequence[Tensor]) -> Gaussian:
        location, log_scale, *others = numbers
        scale: Tensor = _Exponential.apply(log_scale) + self.least  # type: ignore[operator]
        return Gaussian._of(location=location.mT, structure=_form(self.structure).built(self.structure, scale, *others))

    def numbers(self, components: Component) -> Tensor:
        """Scales below twice the least are taken for twice the least."""
        gaussian = components.gaussian
        scale, *others = _form(self.structure).parts(gaussian.structure)
        beyond = torch.maximum(scale - self.least, 0.5 * scale).clamp_min(self.least)
        return joined([gaussian.location.mT, beyond.log(), *others])

    def units(self, components: Component) -> Tensor:
        gaussian = components.gaussian
        others = (torch.ones(shape).to(gaussian.location) for shape in self.shapes[1:])
        return joined([gaussian.variance.sqrt().mT, *others])


class _Exponential(torch.autograd.Function):
    """The exponential, which ends where the square of a scale would overflow, and whose slope there is not lost."""

    generate_vmap_rule = True

    @staticmethod
    def forward(number: Tensor) -> Tensor:
        return number.clamp(-_FAR, _FAR).exp_()

    @staticmethod
    def setup_context(ctx: Any, inputs: tuple[Tensor, ...], output: Tensor) -> None:
        ctx.save_for_backward(output)

    @staticmethod
    def backward(ctx: Any, *incoming: Tensor) -> Tensor:
        return incoming[0] * ctx.saved_tensors[0]


# -- what a structure is made of: scales, and perhaps one tensor more, with the components last


class _Form(NamedTuple):
    """How a structure is made of numbers.

    Attributes:
        shapes: From the structure and the number of features to the shapes before K: of scales, and of the rest.
        built: From the structure, scales and the rest, which is in units of the scales, to the structure with values.
        parts: From the structure with values to scales and the rest.
    """

    shapes: Callable[[Any, int], Sequence[tuple[int, ...]]]
    built: Callable[..., Structure]
    parts: Callable[[Any], tuple[Tensor, ...]]


def _round(structure: Structure, scale: Tensor) -> Structure:
    return structure._replace(factor=scale)


def _along_axes(structure: Structure, scale: Tensor) -> Structure:
    return structure._replace(factor=scale.mT)


def _triangle(structure: Structure, scale: Tensor, below: Tensor) -> Structure:
    """Triangles as they are, where each context has its own; matrices where there is but one mixture."""
    found = UnitTriangle(scale.mT, below.mT, tied=structure.tied)
    return found if scale.ndim > 2 else found.full(scale.shape[-2])


def _triangle_parts(structure: Structure) -> tuple[Tensor, ...]:
    lower = structure.given.movedim(-3, -1)
    scale = lower.diagonal(dim1=-3, dim2=-2).mT
    rows, columns = torch.tril_indices(scale.shape[-2], scale.shape[-2], -1)
    return scale, lower[..., rows, columns, :] / scale[..., rows, :]


def _few_factors(structure: Structure, scale: Tensor, loadings: Tensor) -> Structure:
    scale = scale.unsqueeze(-2)
    return structure._replace(factor=torch.cat([loadings * scale, scale], -2).movedim(-1, -3))


def _few_factors_parts(structure: Structure) -> tuple[Tensor, ...]:
    factor = structure.given.movedim(-3, -1)
    scale = factor[..., -1, :]
    return scale, factor[..., :-1, :] / scale.unsqueeze(-2)


_FORMS: dict[type[Structure], _Form] = {
    Spherical: _Form(lambda one, d: [()], _round, lambda one: (one.given,)),
    Diagonal: _Form(lambda one, d: [(d,)], _along_axes, lambda one: (one.given.mT,)),
    Full: _Form(lambda one, d: [(d,), (d * (d - 1) // 2,)], _triangle, _triangle_parts),
    LowRank: _Form(lambda one, d: [(d,), (d, one.rank)], _few_factors, _few_factors_parts),
}


def _form(structure: Structure) -> _Form:
    if type(structure) not in _FORMS:
        raise NotClosedForm(f"{structure.name} covariances have no factor that is free to move entry by entry.")
    return _FORMS[type(structure)]
