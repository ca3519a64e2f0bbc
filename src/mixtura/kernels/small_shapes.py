"""Starts of several covariance structures over one small table: one race for all of them."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import Self

import numpy as np

from .small import Array, Limits, Outcome, Starts, Table
from .steps import Step
from .threads import in_threads, workers

__all__ = ["Shapes"]


@dataclass(frozen=True, eq=False)
class Shapes(Starts):
    """Mixtures of Gaussians under way, of so many structures, which are the groups; all have the same rows.

    Attributes:
        steps: What the covariances of each group look like.
    """

    steps: tuple[Step, ...]

    @classmethod
    def over(cls, table: Table, starts: list[Starts]) -> Shapes:
        """Starts of each structure, as many of one as of another."""
        states = np.concatenate([one.states for one in starts])
        group = np.repeat(np.arange(len(starts)), [len(one) for one in starts])
        return cls(
            table.shared(len(starts)), starts[0].components, states, group, Step.FULL, tuple(s.step for s in starts)
        )

    @property
    def tied(self) -> Array:
        return np.array([step.tied for step in self.steps])[self.group]

    def of_group(self, group: int) -> Starts:
        """The starts of one structure."""
        lines = self.group == group
        return Starts(self.table, self.components, self.states[lines], np.zeros(lines.sum(), int), self.steps[group])

    def advanced(self, limits: Limits) -> tuple[Self, Outcome]:
        present = np.unique(self.group)
        moved: list[tuple[Starts, Outcome]] = [None] * len(present)  # type: ignore[list-item]

        def run(first: int, last: int) -> None:
            for at in range(first, last):
                moved[at] = self.of_group(present[at]).advanced(limits)

        in_threads(run, len(present), workers(self._work(limits.updates), _GRAIN))
        states = np.concatenate([starts.states for starts, _ in moved])
        found = (np.concatenate(parts) for parts in zip(*(outcome for _, outcome in moved), strict=True))
        return replace(self, states=states), Outcome(*found)


_GRAIN = 500_000  # row-components worth another thread
