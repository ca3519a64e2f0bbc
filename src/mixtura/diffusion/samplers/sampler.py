"""One step of a sampler: where it is, and what it may ask."""

from __future__ import annotations

from abc import ABC, abstractmethod
from dataclasses import dataclass, replace
from functools import cached_property
from typing import NamedTuple

import torch
from torch import Generator, Tensor

from ..models import Model
from ..places import Place
from ..schedules import Schedule

__all__ = ["Draw", "Here", "Sampler", "Seen"]


@dataclass(frozen=True)
class Draw:
    """Standard normal numbers in the shape of a tensor.

    Arguments:
        generator: The source of randomness.
    """

    generator: Generator | None = None

    def __call__(self, like: Tensor) -> Tensor:
        return torch.randn(like.shape, dtype=like.dtype, device=like.device, generator=self.generator)


class Seen(NamedTuple):
    """What the model said at a place before."""

    place: Place
    clean: Tensor


@dataclass(frozen=True, eq=False)
class Here:
    """Rows at a place, and what the model says of them, asked once.

    Arguments:
        x: The rows.
        place: The schedule at their time.
        model: What says the clean draw.
        schedule: How signal and noise change with time.
        past: What it said at places before, the nearest first.
    """

    x: Tensor
    place: Place
    model: Model
    schedule: Schedule
    past: tuple[Seen, ...] = ()

    @cached_property
    def clean(self) -> Tensor:
        """The clean draw to be expected."""
        return self.model.denoise(self.x, self.place)

    @cached_property
    def noise(self) -> Tensor:
        """The noise to be expected, of variance one."""
        return (self.x - self.place.alpha * self.clean) / self.place.sigma

    def remembered(self, count: int) -> tuple[Seen, ...]:
        """Returns what was seen here and before, as much as the next step will look at."""
        return (Seen(self.place, self.clean), *self.past)[:count] if count else ()

    def at(self, x: Tensor, place: Place) -> Here:
        """Returns other rows at another place, under the same model."""
        return replace(self, x=x, place=place)


class Sampler(ABC):
    """How a step goes from one place to the next.

    A sampler of your own states `step`; `deterministic` tells whether churn may go with it.
    """

    deterministic: bool = True
    memory: int = 0
    """How many places before this one a step looks at."""

    @abstractmethod
    def step(self, here: Here, then: Place, draw: Draw) -> Tensor:
        """Returns the rows at the next place.

        Arguments:
            here: The rows, their place and what the model says of them.
            then: The next place, at an earlier time.
            draw: Returns standard normal numbers in the shape of a tensor.
        """
