r"""Regressions on small tables: states and back, moves, spurious optima.

A component becomes two that lie apart by the scale of what it leaves of the target, or by half a unit of the predictor
where the law has no scale; without an intercept one is flatter and one is steeper.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
from torch import Tensor

from ...data import Rows
from ...kernels.regressions import RegressionLaw
from ...kernels.small import small
from ...kernels.small_regressions import Regressions, beside, regression_table
from ...mixture import Mixture
from ..loop.leaps import plain_rows
from .flight import Array
from .kind import Kind, replaced
from .spurious import spurious_laws

__all__ = ["RegressionKind"]

_APART = 0.5  # of a predictor, or of an effect, each way
_MOST_COLUMNS = 64


@dataclass(frozen=True, eq=False)
class RegressionKind(Kind):
    """Regressions that a compiled pass knows.

    Arguments:
        like: A batch of mixtures of the family.
    """

    like: Mixture

    @classmethod
    def serves(cls, rows: Rows, start: Mixture) -> bool:
        components: Any = start.components
        known = components.compiled is not None and plain_rows(rows)
        return known and small(len(rows), 2 * components.effect.shape[-1] + 2, _MOST_COLUMNS)

    @classmethod
    def of(cls, start: Mixture) -> RegressionKind:
        return cls(start)

    def states(self, rows: Rows, start: Mixture, floor: Tensor) -> Regressions:
        components: Any = start.components.to(torch.float64)
        x, logits = rows.tensor().double(), torch.log_softmax(start.logits.double(), -1)
        u, given = components.designed(x), components.given(components.compiled, logits)
        y, many = x[:, given.target], torch.full_like(x[:, 0], given.total_count)
        trials = many if given.trials is None else x[:, given.trials]
        effect = torch.cat([given.level.unsqueeze(-1), given.slope], -1) if given.constant else given.slope
        scale = torch.ones_like(given.level) if given.precision is None else 1 / given.precision
        least = floor.double()[given.target]
        table = regression_table(u, y, trials, beside(given.law, y, trials), rows.weight, least)
        parts = (one.detach().numpy() for one in (logits, effect, scale))
        return Regressions.of(table, given.law, given.slope.shape[-1], *parts)

    def mixture(self, states: Regressions) -> Mixture:
        components: Any = self.like.components.to(torch.float64)
        effect, scale = (torch.from_numpy(part.copy()) for part in (states.effect, states.scale))
        centre = components.reference.expand(*effect.shape[:-1], -1)
        found = components._replace(centre=centre).started(effect, scale.square())
        return Mixture._of(torch.from_numpy(states.logits.copy()).to(self.like.dtype), found.to(self.like.dtype))

    def moves(self, states: Regressions) -> Regressions:
        weight, effect, scale = np.exp(states.logits[0]), states.effect[0], states.scale[0]
        push = _APART * effect
        if states.covariates < states.design:
            push = np.zeros_like(effect)
            push[:, 0] = scale if states.law is RegressionLaw.LINEAR else _APART
        now, (one, other) = (weight, effect, scale), ((weight / 2, effect + way * push, scale) for way in (-1, 1))
        weights, effects, scales = replaced(now, one, other)
        logits = np.log(weights / weights.sum(1, keepdims=True))
        return Regressions.of(states.table, states.law, states.covariates, logits, effects, scales)

    def spurious(self, states: Regressions, total: Array) -> Array:
        return np.logical_or.reduce(spurious_laws(self.mixture(states), total), 1)
