"""Starts of several covariance structures over one small table: one race for all of them."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from .small import Array
from .small_gaussians import Starts
from .steps import Step

__all__ = ["Shapes"]


@dataclass(frozen=True, eq=False)
class Shapes(Starts):
    """Mixtures of Gaussians under way, of so many structures, which are the groups; all have the same rows.

    Attributes:
        steps: What the covariances of each group look like.
    """

    steps: tuple[Step, ...]

    @classmethod
    def over(cls, like: Starts, states: Array, steps: tuple[Step, ...]) -> Shapes:
        """Starts of G structures, states (G, B, P), otherwise like those of one."""
        groups, count, numbers = states.shape
        known = like.components, states.reshape(-1, numbers), np.repeat(np.arange(groups), count)
        return cls(like.table.shared(groups), *known, like.measure.repeat(groups, 0), Step.FULL, steps)

    @property
    def tied(self) -> Array:
        return np.array([step.tied for step in self.steps])[self.group]

    def of_group(self, group: int) -> Starts:
        """The starts of one structure."""
        lines = self.group == group
        known = self.components, self.states[lines], np.zeros(lines.sum(), int), self.measure
        return Starts(self.table, *known, self.steps[group])

    def _steps(self) -> tuple[tuple[int, ...], Array, tuple[int, int]]:
        each = [self._of_step(step) for step in self.steps]
        return each[0][0], np.stack([shape for _, shape, _ in each])[self.group], each[0][2]
