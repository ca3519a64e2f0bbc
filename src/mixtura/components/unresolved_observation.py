"""Observations as users write them: they do their work resolved, once components or rows say what shapes mean."""

from __future__ import annotations

from abc import abstractmethod
from typing import TYPE_CHECKING

from torch import Generator, Tensor

from .base import Component
from .observation import Frame, Observation, frame_of

if TYPE_CHECKING:
    from ..mixture import Mixture

__all__ = ["Unresolved"]


class Unresolved(Observation):
    """An observation that resolves to another one, which does all its work."""

    @abstractmethod
    def resolve(self, frame: Frame) -> Observation:
        """Returns the observation that does the work, of the frame's type and device."""

    def observed(self, components: Component) -> Component:
        return self.resolve(frame_of(components)).observed(components)

    def apply(self, mixture: Mixture) -> Mixture:
        return self.resolve(frame_of(mixture.components)).apply(mixture)

    def posterior(self, mixture: Mixture, y: Tensor) -> Mixture:
        return self.resolve(frame_of(mixture.components)).posterior(mixture, y)

    def log_prob(self, components: Component, y: Tensor) -> Tensor:
        return self.resolve(frame_of(components)).log_prob(components, y)

    def complete(self, components: Component, y: Tensor, r: Tensor) -> tuple[Tensor, ...]:
        return self.resolve(frame_of(components)).complete(components, y, r)

    def record(self, x: Tensor, labels: Tensor, generator: Generator | None, components: Component | None) -> Tensor:
        raise NotImplementedError("An observation records once it is resolved; `sample` sees to that.")
