r"""Between real numbers, which a network puts out, and the components that they stand for.

The numbers of a family are those of its parameters by name, each through a smooth map onto where it may lie: a scale is
the exponential of its number, a probability the logistic function of it, probabilities of categories the softmax.
Logarithms end at :math:`\pm 40`: beyond, squares of single precision would overflow, and NaN follow. An angle is its
number, whose turns do not matter; a direction is that of a vector, whose length does not.

A number moves in units of its own: a location in the scale of its component, others as they are, so that a step of an
optimiser is as long at any scale of the target.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Mapping, Sequence
from typing import Any

import torch
from torch import Tensor
from torch.distributions import constraints, transform_to, transforms

from ..components import Component, Family
from ..components.domains import UNIT_LENGTH
from ..components.von_mises import TURN

__all__ = ["Chart", "NamedChart", "joined"]

_FAR = 40.0  # of a logarithm, or of a logit


class Chart(ABC):
    """The parameters of K components as real numbers.

    Attributes:
        components: The number of components K.
        event_shape: The shape of one row.
        shapes: The shapes of the numbers; in vectors they stand one behind another.
    """

    components: int
    event_shape: torch.Size
    shapes: list[torch.Size]

    @abstractmethod
    def start(self) -> Tensor:
        """Returns numbers ``(size,)`` to begin at where nothing is known of the rows, in which components differ."""

    @abstractmethod
    def at(self, numbers: Sequence[Tensor]) -> Component:
        """Returns the components at numbers, each ``(*B, *shape)``."""

    @abstractmethod
    def numbers(self, components: Component) -> Tensor:
        """Returns the numbers ``(size,)`` of components without batch shape: the inverse of `at`."""

    @abstractmethod
    def units(self, components: Component) -> Tensor:
        """Returns, for each of the numbers of components, what counts as one step."""


class NamedChart(Chart):
    """The parameters of a family by name.

    Arguments:
        family: The family, bound to its columns.
        features: The number of features of a row; none where it is one number.
        components: The number of components K.

    Raises:
        NotClosedForm: If the family has no parameters that are free to move one by one.
    """

    def __init__(self, family: Family, features: int | None, components: int) -> None:
        self.family, self.features, self.components = family, features, components
        self.event_shape = torch.Size(() if features is None else (features,))
        self.maps, self.shapes = {}, []
        for name, one in family.arguments(features).items():
            self.maps[name] = _onto(one.support)
            shape = (1 if one.shared else components, *one.shape)
            self.shapes.append(torch.Size(self.maps[name].inverse_shape(shape)))

    def start(self) -> Tensor:
        return torch.randn(sum(shape.numel() for shape in self.shapes))

    def at(self, numbers: Sequence[Tensor]) -> Component:
        named = zip(self.maps.items(), numbers, strict=True)
        return self.family.made({name: onto(number) for (name, onto), number in named}, self.features)

    def numbers(self, components: Component) -> Tensor:
        values = self.family.read(components)
        each = zip(self.maps.items(), self.shapes, strict=True)
        return joined([onto.inv(values[name].expand(onto.forward_shape(shape))) for (name, onto), shape in each])

    def units(self, components: Component) -> Tensor:
        values = self.family.read(components)
        each = zip(self.maps, self.shapes, strict=True)
        return joined([_scale_beside(name, values).expand(shape) for name, shape in each])


def _scale_beside(name: str, values: Mapping[str, Tensor]) -> Tensor:
    """The scale beside a location, of the same columns; one for all else."""
    own, scale = values[name], values.get(name.replace("loc", "scale").replace("mean", "scale"))
    if scale is None or scale is own:
        return own.new_ones(())
    return scale.reshape(scale.shape + (1,) * (own.ndim - scale.ndim))


class _Direction(transforms.Transform):
    """Vectors as directions; one so short that it has none is along the first axis."""

    domain = constraints.real_vector
    codomain = UNIT_LENGTH
    bijective = False

    def _call(self, x: Tensor) -> Tensor:
        axis = torch.zeros_like(x)
        axis[..., 0] = 1
        length = x.norm(dim=-1, keepdim=True)
        short = length < torch.finfo(x.dtype).tiny ** 0.5
        return torch.where(short, axis, x / length.masked_fill(short, 1))

    def _inverse(self, y: Tensor) -> Tensor:
        return y


class _Near(transforms.Transform):
    """The identity on numbers up to 40 from zero, where it ends."""

    domain = codomain = constraints.real
    bijective = True

    def _call(self, x: Tensor) -> Tensor:
        return x.clamp(-_FAR, _FAR)

    def _inverse(self, y: Tensor) -> Tensor:
        return y


def _onto(support: Any) -> transforms.Transform:
    """A smooth map from the real numbers onto a constraint."""
    if support is constraints.real or support is TURN:
        return transforms.identity_transform
    if support is UNIT_LENGTH:
        return _Direction()
    return transforms.ComposeTransform([_Near(), transform_to(support)])


def joined(numbers: list[Tensor]) -> Tensor:
    """Returns tensors as one vector."""
    return torch.cat([number.flatten() for number in numbers])
