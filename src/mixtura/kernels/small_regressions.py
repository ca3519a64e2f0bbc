"""Mixtures of regressions under way on a small table, in which rows are designs, targets and trials."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, Self

import numpy as np
import torch
from torch import Tensor

from .regressions import RegressionLaw
from .small import Array, States, Table, compiled

__all__ = ["Regressions", "beside", "regression_table"]


def regression_table(u: Tensor, y: Tensor, trials: Tensor, base: Tensor, weight: Tensor | None, floor: Tensor) -> Table:
    """Lays out designs (N, Q), targets and trials (N,), what densities have beside, (N,), and weights (N,).

    The floor is the least variance of residuals, a number.
    """
    counts = u if weight is None else u[weight > 0]
    reach = counts.abs().amax(0)
    columns = torch.cat([u, y.unsqueeze(-1), trials.unsqueeze(-1), torch.zeros_like(u)], -1)
    return Table.of_statistics(columns, base, weight, torch.cat([reach, floor.expand(columns.shape[1] - len(reach))]))


def beside(law: RegressionLaw, y: Tensor, trials: Tensor) -> Tensor:
    """Returns what log-densities of targets (N,) have that is the same for all components, (N,)."""
    ways = torch.lgamma(trials + 1) - torch.lgamma((trials - y).clamp_min(0) + 1)
    counts = -torch.lgamma(y.clamp_min(0) + 1)
    found = {
        RegressionLaw.LINEAR: torch.zeros_like(y),
        RegressionLaw.POISSON: torch.xlogy(y, y.clamp_min(1e-30)) - y + counts,
        RegressionLaw.LOGISTIC: ways + counts,
    }
    return found[law]


@dataclass(frozen=True, eq=False)
class Regressions(States):
    """Mixtures of regressions under way.

    Attributes:
        law: The law of the target.
        covariates: The columns of the design that are covariates; the others, one or none, are ones.
    """

    law: RegressionLaw
    covariates: int

    @classmethod
    def of(cls, table: Table, law: RegressionLaw, covariates: int, logits: Array, effect: Array, scale: Array) -> Self:
        """Starts of log weights (S, K), effects (S, K, Q) and scales of residuals (S, K), in one group."""
        count, components, _ = effect.shape
        states = np.concatenate([logits, np.zeros_like(logits), effect.reshape(count, -1), scale], 1)
        measure = 1 / _units(table, law, components, effect.shape[-1])
        return cls(table, components, states, np.zeros(count, np.int64), measure, law, covariates)

    @property
    def design(self) -> int:
        """The number of columns of the design, Q."""
        return self.states.shape[1] // self.components - 3

    @property
    def effect(self) -> Array:
        """Effects, (S, K, Q)."""
        k = self.components
        return self.states[:, 2 * k : -k].reshape(len(self), k, -1)

    @property
    def scale(self) -> Array:
        """Scales of residuals, (S, K); what they were where the law has none."""
        return self.states[:, -self.components :]

    def _steps(self) -> tuple[tuple[int, ...], Array, tuple[int, int]]:
        steps: Any = compiled("regression_kind")
        width, k, q = compiled("driver").WIDTH, self.components, self.design
        shape = np.array([k, self.table.features, width, self.law, q, self.covariates])
        scratch = (2 * k + q) * width + k * (2 + 2 * q + 2 * q * q) + 1 + 2 * k + k * self.covariates
        return steps.calls(), shape, (scratch, q * q + q)


def _units(table: Table, law: RegressionLaw, k: int, q: int) -> Array:
    """The unit of each sum of each group, from those of the columns."""
    design, target = table.unit[:, :q], table.unit[:, q : q + 1]
    square = np.tile((design[:, :, None] * design[:, None]).reshape(len(design), -1), k)
    parts = np.ones((len(design), k)), np.tile(target**2, k), np.tile(design * target, k), square
    return np.hstack((*parts, square) if law is RegressionLaw.LOGISTIC else parts)
