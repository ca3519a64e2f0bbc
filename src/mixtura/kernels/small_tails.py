"""Mixtures of Student-t laws under way on small tables: Gaussians, and degrees of freedom."""

from __future__ import annotations

from dataclasses import dataclass, replace
from enum import IntEnum
from typing import Any, ClassVar, Self

import numpy as np

from .small import Array, compiled
from .small_gaussians import Starts
from .steps import Step

__all__ = ["Degrees", "TailedStarts"]


class Degrees(IntEnum):
    """What is learned of degrees of freedom: those of each component, one number for all, or nothing."""

    OWN = 0
    SHARED = 1
    FIXED = 2


@dataclass(frozen=True, eq=False)
class TailedStarts(Starts):
    """Mixtures of Student-t laws under way.

    Attributes:
        degrees: What is learned of degrees of freedom.
    """

    degrees: Degrees = Degrees.OWN
    bold: ClassVar[bool] = True

    def tailed(self, dof: Array, degrees: Degrees) -> Self:
        """Gaussians that were just made, with degrees of freedom (S, K)."""
        ones = np.ones((len(self.measure), self.components))
        rows = self.table.total[:, None] / self.components  # of which a step in a logarithm of degrees is one of all
        measure = np.hstack((ones, self.measure, ones, ones, ones * rows))
        return replace(self, states=np.concatenate([self.states, dof], 1), measure=measure, degrees=degrees)

    @property
    def dof(self) -> Array:
        """Degrees of freedom, (S, K)."""
        return self.states[:, -self.components :]

    @property
    def covariance(self) -> Array:
        """The matrices, (S, K, D, D)."""
        k, d = self.components, self.table.features
        return self.states[:, -k * (d * d + 1) : -k].reshape(-1, k, d, d)

    def _of_step(self, step: Step) -> tuple[tuple[int, ...], Array, tuple[int, int]]:
        kind: Any = compiled("tails_kind")
        _, shape, (_, room) = super()._of_step(step)
        k, d, width = shape[:3].tolist()
        return kind.calls(), np.append(shape, self.degrees), (max(kind.size_of_spare(k, d, width), k * d * d), room)
