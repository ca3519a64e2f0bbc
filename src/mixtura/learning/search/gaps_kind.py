"""Gaussians on small tables with gaps: states from rows of which something was not recorded."""

from __future__ import annotations

from dataclasses import dataclass

from torch import Tensor

from ...data import Rows
from ...kernels.small_gaps import StartsWithGaps, gaps_table
from ...mixture import Mixture
from ..loop.leaps import small_rows
from .gaussian_kind import GaussianKind

__all__ = ["GapsKind"]


@dataclass(frozen=True, eq=False)
class GapsKind(GaussianKind):
    """Gaussians, whose structure has a compiled M-step, of rows with gaps."""

    @classmethod
    def serves(cls, rows: Rows, start: Mixture) -> bool:
        components = start.components
        known = components.is_gaussian and components.gaussian.structure.step is not None
        return known and rows.observation.only_gaps and small_rows(rows)

    def states(self, rows: Rows, start: Mixture, floor: Tensor) -> StartsWithGaps:
        x = rows.tensor()
        table, seeds = gaps_table(x.reshape(len(x), -1), rows.weight, floor.reshape(-1)), self.seeds(start)
        covariance = self.step.like(seeds.covariance)
        return StartsWithGaps.of(table, self.step, seeds.logits, seeds.mean, covariance, seeds.group)
