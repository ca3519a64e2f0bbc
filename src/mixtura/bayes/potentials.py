r"""Potentials: what a posterior's log-density has beside priors and likelihood, such as walls.

.. math:: \log p(\theta | x) = \log p(\theta) + \sum_n \log p(x_n | \theta) + \sum_i \phi_i(\theta) + \mathrm{const},

where :math:`\phi = -\infty` forbids. NUTS bounces off a wall only by rejecting: a trajectory that meets one ends there.
So where a bijection says the same (``mx.bayes.Model(ordered=...)``, `Floored`), prefer it.
"""

from __future__ import annotations

import inspect
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from functools import partial
from typing import Any

import torch
from torch import Tensor

from ..errors import refuse

__all__ = ["Potential", "ascending", "least", "min_weight", "ordered", "potential"]


@dataclass(frozen=True, eq=False)
class Potential:
    """A function of named parameters to a log-density.

    Arguments:
        function: Takes values of one draw and returns one number.
        names: The parameters it takes, by name.
        label: What messages call it.
    """

    function: Callable[..., Tensor]
    names: tuple[str, ...]
    label: str

    def log_prob(self, values: Mapping[str, Tensor], leading: int) -> Tensor:
        """Returns the function's value for each of the draws ``(*S,)``."""
        function: Callable[..., Any] = self.function
        for _ in range(leading):
            function = torch.func.vmap(function)
        return torch.as_tensor(function(*(values[name] for name in self.names)))


def potential(given: Any, names: Sequence[str]) -> Potential:
    """Returns what was given as a potential of the parameters of these names.

    Raises:
        MixtureError: If it is no function, or asks for a parameter that there is not.
    """
    if isinstance(given, Potential):
        wanted, label = given.names, given.label
    elif callable(given):
        wanted, label = tuple(inspect.signature(given).parameters), getattr(given, "__name__", repr(given))
    else:
        refuse("potentials", "functions of parameters by name", repr(given))
    unknown = [name for name in wanted if name not in names]
    if unknown:
        refuse("potentials", f"functions of {', '.join(names)}", f"{label}({', '.join(wanted)})")
    function: Any = given
    return given if isinstance(given, Potential) else Potential(function, wanted, label)


def min_weight(floor: float) -> Potential:
    """Returns the wall that keeps every weight at a floor or above.

    The same prior without a wall is ``mx.bayes.Model(min_weight=floor)``.

    Raises:
        MixtureError: If the floor is not between 0 and 1.

    Example:
        >>> mx.bayes.min_weight(0.1).log_prob({"weights": torch.tensor([0.05, 0.95])}, 0)
        tensor(-inf)
    """
    if not 0 <= floor < 1:
        refuse("floor", "at least 0 and below 1/K", floor)
    return Potential(partial(least, floor), ("weights",), f"min_weight({floor:g})")


def ordered(name: str, coordinate: int | None = None) -> Potential:
    """Returns the wall that keeps a parameter ascending over components.

    The same prior without a wall is ``mx.bayes.Model(ordered=name)``.

    Arguments:
        name: The parameter.
        coordinate: Of a parameter of vectors, which of their coordinates.

    Example:
        >>> mx.bayes.ordered("loc").log_prob({"loc": torch.tensor([1.0, 2.0])}, 0)
        tensor(0.)
    """
    label = f"ordered({name!r})" if coordinate is None else f"ordered({name!r}, {coordinate})"
    return Potential(partial(ascending, coordinate), (name,), label)


def least(floor: float, weights: Tensor) -> Tensor:
    """Returns the wall about weights below a floor."""
    return _wall(weights.amin(-1) < floor, weights)


def ascending(coordinate: int | None, values: Tensor) -> Tensor:
    """Returns the wall about values that do not ascend over components."""
    column = values if coordinate is None else values[..., coordinate]
    return _wall((column[..., 1:] < column[..., :-1]).any(-1), values)


def _wall(forbidden: Tensor, like: Tensor) -> Tensor:
    here = torch.zeros((), dtype=like.dtype, device=like.device)
    return torch.where(forbidden, -torch.inf, here)
