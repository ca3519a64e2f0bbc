"""Mixtures of Gaussians under way on small tables, and where those of groups of rows start."""

from __future__ import annotations

from dataclasses import dataclass
from typing import NamedTuple, Self

import numpy as np

from .small import GRAIN, Array, States, Table, compiled
from .steps import Step
from .threads import in_threads, workers

__all__ = ["Seeds", "Starts", "narrow", "seeded"]


class Seeds(NamedTuple):
    """Where starts may be: log weights (S, K), means (S, K, D), common covariances (S, 1, D, D) and groups (S,)."""

    logits: Array
    mean: Array
    covariance: Array
    group: Array

    def starts(self, table: Table, step: Step) -> Starts:
        """The starts of that structure."""
        return Starts.of(table, step, self.logits, self.mean, step.like(self.covariance), self.group)


@dataclass(frozen=True, eq=False)
class Starts(States):
    """Mixtures of Gaussians under way.

    Attributes:
        step: What the covariances look like.
    """

    step: Step

    @classmethod
    def of(cls, table: Table, step: Step, logits: Array, mean: Array, covariance: Array, group: Array) -> Self:
        """Starts of log weights (S, K), means (S, K, D) and covariances that broadcast to (S, K, D, D)."""
        count, components, features = mean.shape
        centred = mean - table.origin[group][:, None]
        read = np.zeros((count, components * (1 + features * features)))  # constants and factors, made by the driver
        whole = np.broadcast_to(covariance, (count, components, features, features))
        constants, factors = read[:, :components], read[:, components:]
        parts = logits, constants, centred.reshape(count, -1), factors, whole.reshape(count, -1)
        return cls(table, components, np.concatenate(parts, 1), group, _measure(table, components), step)

    @property
    def tied(self) -> Array:
        """Whether the components of a start have one covariance, (S,)."""
        return np.full(len(self), self.step.tied)

    @property
    def mean(self) -> Array:
        """Means, (S, K, D)."""
        k, d = self.components, self.table.features
        flat = self.states[:, 2 * k : k * (2 + d)]
        return flat.reshape(-1, k, d) + self.table.origin[self.group][:, None]

    @property
    def covariance(self) -> Array:
        """Covariances, (S, K, D, D)."""
        k, d = self.components, self.table.features
        return self.states[:, -k * d * d :].reshape(-1, k, d, d)

    def log_joint(self, rows: Array) -> Array:
        """The log joint density of rows (N, D) and components under starts that were advanced, (S, K, N)."""
        k, d = self.components, self.table.features
        factor = self.states[:, k * (2 + d) : k * (2 + d + d * d)].reshape(-1, k, d, d)
        z = (rows - self.mean[:, :, None]) @ factor.swapaxes(-1, -2)
        return self.states[:, k : 2 * k, None] - (z * z).sum(-1)

    def of_group(self, group: int) -> Starts:
        """The starts of one group."""
        return self.take(np.flatnonzero(self.group == group))

    def _steps(self) -> tuple[tuple[int, ...], Array, tuple[int, int]]:
        return self._of_step(self.step)

    def _of_step(self, step: Step) -> tuple[tuple[int, ...], Array, tuple[int, int]]:
        kind, width = compiled("gaussian_kind"), compiled("driver").WIDTH
        k, d = self.components, self.table.features
        shape = np.array([k, d, width, step, kind.shared_step() if step.partly_shared else 0, self.table.alike])
        return kind.calls(), shape, (k * d * max(d, width), 2 * (k + 1) * d * d + k)


def _measure(table: Table, components: int) -> Array:
    """One over the unit of each sum of each group: weights, first and second moments of every component."""
    first = 1 / table.unit
    square = (first[:, :, None] * first[:, None]).reshape(len(first), -1)
    each = (part[:, None].repeat(components, 1).reshape(len(first), -1) for part in (first, square))
    return np.concatenate((np.ones((len(first), components)), *each), 1)


def seeded(table: Table, uniforms: Array, kinds: Array) -> Seeds:
    """Where starts of every group may be, from its own rows.

    Arguments:
        table: The rows.
        uniforms: Numbers in [0, 1) from which candidates for centres are drawn, (G, B, K, C).
        kinds: For each start whether centres may be any rows, and its updates of K-means, one at least, (B, 2).
    """
    (groups, count, components, _), features = uniforms.shape, table.features
    logits, mean = np.empty((groups, count, components)), np.empty((groups, count, components, features))
    covariance = np.empty((groups, count, features, features))

    def run(first: int, last: int) -> None:
        given = *table.rows, table.sizes, table.places, table.total, table.unit, uniforms, kinds
        compiled("seeds").seed(*given, logits, mean, covariance, first, last)

    in_threads(run, groups, workers(table.rows[0].size * count * components * 10, GRAIN))
    group = np.repeat(np.arange(groups), count)
    means = mean.reshape(-1, components, features) + table.origin[group][:, None]
    return Seeds(logits.reshape(-1, components), means, covariance.reshape(-1, 1, features, features), group)


def narrow(covariance: Array, floor: Array) -> bool:
    """Whether some covariance (..., D, D) has a pivot below the floor of its column, (D,)."""
    try:
        roots = np.linalg.cholesky(covariance)
    except np.linalg.LinAlgError:
        return True
    return not bool((np.diagonal(roots, axis1=-2, axis2=-1) ** 2 >= floor).all())
