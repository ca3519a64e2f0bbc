"""Mixtures of exponential families under way on a small table, in which rows are sufficient statistics."""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar, Self

import numpy as np

from .laws import Matching
from .small import Array, States, Table, compiled

__all__ = ["Histograms", "Members"]


@dataclass(frozen=True, eq=False)
class Members(States):
    """Mixtures of members of one exponential family under way.

    Attributes:
        matching: How mean statistics become parameters.
    """

    matching: Matching
    code: ClassVar[str] = "exponential_kind"

    @classmethod
    def of(cls, table: Table, matching: Matching, logits: Array, normaliser: Array, natural: Array) -> Self:
        """Starts of log weights (S, K), log-normalisers (S, K) and natural parameters (S, K, F), in one group."""
        count, components, _ = natural.shape
        states = np.concatenate([logits, logits - normaliser, natural.reshape(count, -1)], 1)
        measure = np.hstack((np.ones((len(table.unit), components)), np.tile(1 / table.unit, components)))
        return cls(table, components, states, np.zeros(count, np.int64), measure, matching)

    @property
    def natural(self) -> Array:
        """Natural parameters, (S, K, F)."""
        return self.states[:, 2 * self.components :].reshape(-1, self.components, self.table.features)

    @property
    def normaliser(self) -> Array:
        """Log-normalisers, (S, K)."""
        return self.logits - self.states[:, self.components : 2 * self.components]

    def responsibilities(self, rows: Array) -> Array:
        """The shares of the components of the first start in statistics (N, F) of rows, (N, K)."""
        joint = rows @ self.natural[0].T + (self.logits - self.normaliser)[0]
        share = np.exp(joint - joint.max(1, keepdims=True))
        return share / share.sum(1, keepdims=True)

    def matched(self, weights: Array, sums: Array) -> tuple[Array, Array]:
        """Log-normalisers (M,) and natural parameters (M, F) that weights (M,) and sums (M, F) imply; NaN for none."""
        shape, spare = self._of_components(1), np.zeros(3 * self.matching.size)
        match, floor, count = compiled(self.code).match, self.table.floor[0], len(sums)
        states, given = np.zeros((count, 2 + sums.shape[1])), np.hstack((weights[:, None], sums))
        broken = [match(one, floor, shape, state, spare) for one, state in zip(given, states, strict=True)]
        states[np.array(broken) >= 0] = np.nan
        return -states[:, 1], states[:, 2:]

    def _of_components(self, components: int) -> Array:
        law, size, trials = self.matching
        return np.array([components, self.table.features, compiled("driver").WIDTH, law, size, trials])

    def _steps(self) -> tuple[tuple[int, ...], Array, tuple[int, int]]:
        spare = 1, 3 * self.matching.size
        return compiled(self.code).calls(), self._of_components(self.components), spare


@dataclass(frozen=True, eq=False)
class Histograms(Members):
    """Mixtures of laws of small counts, whose rows are indicators of their counts."""

    code: ClassVar[str] = "counts_kind"
