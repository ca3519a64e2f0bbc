"""Student-t laws on small tables: states and back, moves."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
from torch import Tensor

from ...data import Rows
from ...kernels.laws import Law
from ...kernels.small_tails import Degrees, TailedStarts
from ...mixture import Mixture
from ..loop.leaps import plain_table, tabled
from .gaussian_kind import GaussianKind
from .kind import replaced

__all__ = ["TailsKind"]


@dataclass(frozen=True, eq=False)
class TailsKind(GaussianKind):
    """Student-t laws, whose structure has a compiled M-step.

    Arguments:
        like: A batch of mixtures of the family.
    """

    like: Mixture

    @classmethod
    def serves(cls, rows: Rows, start: Mixture) -> bool:
        matching = start.components.matching
        known = matching is not None and matching.law is Law.TAILS
        return known and start.components.gaussian.structure.step is not None and plain_table(rows)

    @classmethod
    def of(cls, start: Mixture) -> TailsKind:
        return cls(start.components.gaussian.structure, start.dtype, bool(start.event_shape), start)

    @property
    def degrees(self) -> Degrees:
        """What is learned of degrees of freedom."""
        components: Any = self.like.components
        return Degrees.FIXED if components.fixed is not None else Degrees.SHARED if components.shared else Degrees.OWN

    def states(self, rows: Rows, start: Mixture, floor: Tensor) -> TailedStarts:
        components: Any = start.components
        table, seeds = tabled(rows, floor), self.seeds(start)
        covariance = self.step.like(seeds.covariance)
        found = TailedStarts.of(table, self.step, seeds.logits, seeds.mean, covariance, seeds.group)
        return found.tailed(components.dof.double().numpy(), self.degrees)

    def mixture(self, states: TailedStarts) -> Mixture:
        found, components = super().mixture(states), self.like.components
        dof = torch.from_numpy(states.dof.copy()).to(self.dtype)
        return Mixture._of(found.logits, components._replace(inner=found.components.gaussian, dof=dof))

    def moves(self, states: TailedStarts) -> TailedStarts:
        (dof,) = replaced(*(3 * [(states.dof[0],)]))
        return super().moves(states).tailed(np.concatenate([dof, dof]), states.degrees)
