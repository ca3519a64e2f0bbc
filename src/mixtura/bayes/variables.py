r"""A parameter of the model as a slice of one vector of real numbers.

With the bijection b from real numbers u onto the prior's support, the density of u is

.. math:: \log p(u) = \log p\big(b(u)\big) + \log\big|\det \partial b / \partial u\big| .
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from math import prod
from typing import Any

from torch import Tensor
from torch.distributions.transforms import Transform

from .laws import Law

__all__ = ["Variable", "log_prior", "total", "traded"]


@dataclass(frozen=True, eq=False)
class Variable:
    """A parameter that is learned.

    Arguments:
        name: What the posterior calls it.
        shape: The shape of one draw, ``(K, ...)``, or without K where components share it.
        law: Its prior.
        bijection: From real numbers onto the prior's support.
        dims: What its dimensions are called.
        behind: The names by which the law knows its own parameters, and those of the variables that hold them.
        words: Its prior, in words.
    """

    name: str
    shape: tuple[int, ...]
    law: Law
    bijection: Transform
    dims: tuple[str, ...]
    behind: Mapping[str, str]
    words: str

    @property
    def of_components(self) -> bool:
        """Whether every component has a value of its own."""
        return self.dims[:1] == ("component",)

    @property
    def inner(self) -> tuple[int, ...]:
        """The shape of the real numbers behind one draw."""
        return tuple(self.bijection.inverse_shape(self.shape))

    @property
    def size(self) -> int:
        """How many real numbers are behind one draw."""
        return prod(self.inner)

    def constrain(self, u: Tensor) -> tuple[Tensor, Tensor]:
        """Returns values ``(*S, *shape)`` and log-Jacobians ``(*S,)`` of numbers ``(*S, size)``."""
        raw = u.reshape((*u.shape[:-1], *self.inner))
        map: Any = self.bijection
        value: Tensor = map(raw)
        return value, total(map.log_abs_det_jacobian(raw, value), u.ndim - 1)

    def unconstrain(self, value: Tensor) -> Tensor:
        """Returns the numbers ``(*S, size)`` behind values ``(*S, *shape)``."""
        leading = value.shape[: value.ndim - len(self.shape)]
        map: Any = self.bijection.inv
        return map(value).reshape((*leading, self.size))

    def given(self, values: Mapping[str, Tensor]) -> dict[str, Tensor]:
        """Returns the parameters of the law itself, by its own names."""
        return {own: values[name] for own, name in self.behind.items()}


def traded(variables: Sequence[Variable], values: Mapping[str, Tensor]) -> Iterator[dict[str, Tensor]]:
    """Yields values ``(S, ...)`` whose components took turns, and with the first two exchanged: all else follows."""
    own = {one.name: one.shape[0] for one in variables if one.of_components}
    count = max(own.values(), default=1)
    for order in ([*range(1, count), 0], [1, 0, *range(2, count)][:count]):
        yield {name: value[:, order] if name in own else value for name, value in values.items()}


def log_prior(variable: Variable, values: Mapping[str, Tensor]) -> Tensor:
    """Returns the log-density of a parameter's values ``(*S, *shape)`` under its prior, ``(*S,)``."""
    value = values[variable.name]
    density = variable.law.log_prob(value, variable.given(values))
    return total(density, value.ndim - len(variable.shape))


def total(values: Tensor, leading: int) -> Tensor:
    """Sums over every dimension behind the leading ones."""
    return values.flatten(leading).sum(-1) if values.ndim > leading else values
