"""Mixtures of exponential families under way on a small table, in which rows are sufficient statistics."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from .laws import Matching
from .small import Array, States, compiled

__all__ = ["Members"]


@dataclass(frozen=True, eq=False)
class Members(States):
    """Mixtures of members of one exponential family under way.

    Attributes:
        matching: How mean statistics become parameters.
    """

    matching: Matching

    @property
    def natural(self) -> Array:
        """Natural parameters, (S, K, F)."""
        return self.states[:, 2 * self.components :].reshape(len(self), self.components, -1)

    def _steps(self) -> tuple[tuple[int, ...], Array, tuple[int, int]]:
        law, size, trials = self.matching
        shape = np.array([self.components, self.table.features, compiled("small.driver").WIDTH, law, size, trials])
        return compiled("small.exponential_kind").calls(), shape, (1, 3 * size)

    def _measure(self) -> Array:
        unit, k = self.table.unit, self.components
        return np.hstack((np.ones((len(unit), k)), np.tile(unit, k)))
