r"""Components by hand: any log-density that torch can compute, with its parameters by name.

.. math:: \log p_k(x) = f(x; \theta_k)

`Density` is a family like others to the model: what a user writes is one function of rows and parameters, which
broadcast, and where each parameter may lie.
"""

from __future__ import annotations

import inspect
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from functools import partial
from typing import Any

import torch
from torch import Generator, Tensor
from torch.distributions import Distribution, constraints

from ..components import Argument, Component, Family
from ..errors import NotClosedForm, refuse

__all__ = ["Density", "WrittenComponent"]


@dataclass(frozen=True, eq=False, repr=False, init=False)
class Density(Family):
    """A family written by hand.

    Arguments:
        log_prob: ``log_prob(x, **parameters)``: the log-density in nats, by torch's functions alone. Of numbers x is
            ``(..., 1)`` and each parameter ``(..., K)``; of vectors x is ``(..., 1, D)`` and parameters ``(..., K)``
            or whatever their shape adds. It returns ``(..., K)``.
        sampler: ``sampler(generator, **parameters)``: a draw for each entry of parameters ``(...)``. Without one
            nothing can be predicted.
        parameters: Where each parameter may lie, by name, as a torch constraint or an `Argument` with a shape; real
            numbers where nothing is said.

    Raises:
        MixtureError: If a named parameter is not one of the function's.

    Example:
        >>> def log_prob(x, loc):
        ...     return -0.5 * (x - loc) ** 2 - 0.919
        >>> list(mx.bayes.Density(log_prob).arguments(None))
        ['loc']
    """

    function: Callable[..., Tensor]
    sampler: Callable[..., Any] | None
    free: Mapping[str, Any]

    def __init__(
        self,
        log_prob: Callable[..., Tensor],
        sampler: Callable[..., Any] | None = None,
        parameters: Mapping[str, Any] | None = None,
    ) -> None:
        self._set(list(inspect.signature(log_prob).parameters)[1:], log_prob, sampler, parameters or {})

    def _set(self, names: list[str], function: Any, sampler: Any, parameters: Mapping[str, Any]) -> None:
        unknown = [name for name in parameters if name not in names]
        if unknown or not names:
            refuse("parameters", f"among those of the function, {', '.join(names) or 'which has none'}", unknown)
        free = {name: parameters.get(name, constraints.real) for name in names}
        values = {"kind": WrittenComponent, "function": function, "sampler": sampler, "free": free}
        for name, value in values.items():
            object.__setattr__(self, name, value)

    @classmethod
    def of(cls, make: Callable[..., Distribution], parameters: Mapping[str, Any] | None = None) -> Density:
        """Returns the family of a function from parameters to a torch distribution, which can be predicted as well.

        Example:
            >>> unit = mx.bayes.Density.of(lambda loc: torch.distributions.Normal(loc, 1.0))
            >>> unit.made({"loc": torch.zeros(2)}, None).log_prob(torch.tensor(0.0))
            tensor([-0.9189, -0.9189])
        """
        new = object.__new__(cls)
        names = list(inspect.signature(make).parameters)
        new._set(names, partial(_density_of, make), partial(_draw_of, make), parameters or {})
        return new

    @property
    def title(self) -> str:
        """The name of the function."""
        return getattr(self.function, "__name__", "density")

    @property
    def domain(self) -> Any:
        return constraints.real

    def arguments(self, features: int | None) -> dict[str, Argument]:
        stated = self.free.items()
        return {name: one if isinstance(one, Argument) else Argument(one) for name, one in stated}

    def made(self, values: Mapping[str, Tensor], features: int | None) -> WrittenComponent:
        return WrittenComponent._of(family=self, names=tuple(values), values=tuple(values.values()), features=features)

    def read(self, components: Any) -> dict[str, Tensor]:
        return dict(zip(components.names, components.values, strict=True))

    def start(self, x: Tensor, r: Tensor) -> Component:
        raise NotClosedForm("A density written by hand says nothing of where to start; a Bayesian model's priors do.")


@dataclass(frozen=True, eq=False, repr=False)
class WrittenComponent(Component):
    """K components of a density written by hand."""

    family: Density
    names: tuple[str, ...]
    values: tuple[Tensor, ...]
    features: int | None

    @property
    def batch_shape(self) -> torch.Size:
        ranks = [len(one.shape) for one in self.family.arguments(self.features).values()]
        own = [value.shape[: value.ndim - rank] for value, rank in zip(self.values, ranks, strict=True)]
        return torch.broadcast_shapes(*own)

    @property
    def event_shape(self) -> torch.Size:
        return torch.Size(() if self.features is None else (self.features,))

    @property
    def parameters(self) -> int:
        entries = max(1, self.batch_shape[:-1].numel())
        return sum(value.numel() for value in self.values) // entries

    def log_prob(self, x: Tensor) -> Tensor:
        rows = x.unsqueeze(-1 - len(self.event_shape))
        return self.family.function(rows, **dict(zip(self.names, self.values, strict=True)))

    def draw(self, labels: Tensor, generator: Generator | None = None) -> Tensor:
        sampler = self.family.sampler
        if sampler is None:
            raise NotClosedForm(
                f"{self.family.title} was written by hand, as a density alone. Pass a sampler as well, "
                "mx.bayes.Density(log_prob, sampler=...), or a torch distribution, mx.bayes.Density.of(...)."
            )
        chosen = self.chosen(labels)
        return sampler(generator, **dict(zip(chosen.names, chosen.values, strict=True)))

    @property
    def mean(self) -> Tensor:
        raise self._no("means")

    @property
    def variance(self) -> Tensor:
        raise self._no("variances")

    def statistics(self, x: Tensor, r: Tensor) -> Any:
        raise self._no("statistics")

    def update(self, statistics: Any, prior: Any = None) -> Any:
        raise self._no("update")


def _density_of(make: Callable[..., Distribution], x: Tensor, **parameters: Tensor) -> Tensor:
    return _unchecked(make(**parameters)).log_prob(x)


def _draw_of(make: Callable[..., Distribution], generator: Generator | None, **parameters: Tensor) -> Tensor:
    """torch's own samplers take no generator: its stream is seeded by it, and put back."""
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(int(torch.randint(2**62, (), generator=generator)))
        return make(**parameters).sample()


def _unchecked(distribution: Any) -> Any:
    distribution._validate_args = False
    return distribution
