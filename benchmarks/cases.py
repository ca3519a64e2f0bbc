"""What is measured: the grid, its data and its starts, the same in every process.

Rows are drawn from K Gaussians of unequal weights, scales between 0.7 and 1.4 and correlated features. Means are
normal, so that two of them typically lie `distance` scales apart: 4 is moderately separated, 2 overlaps.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass, replace
from functools import cached_property
from itertools import product
from typing import Any

import numpy as np
from numpy.typing import NDArray

Array = NDArray[Any]

STRUCTURES = ("full", "tied", "diagonal", "spherical")
DTYPES = ("float64", "float32")
SHAPES = (
    (300, 2, 3),
    (100_000, 2, 8),
    (100_000, 10, 10),
    (100_000, 20, 16),
    (50_000, 50, 20),
    (20_000, 100, 10),
)
QUICK_SHAPES = ((300, 2, 3), (2_000, 10, 4))

# The covariances of each structure from dense ones (K, D, D), and back.
_REDUCE = {
    "full": lambda dense: dense,
    "tied": lambda dense: dense.mean(0),
    "diagonal": lambda dense: np.diagonal(dense, axis1=-2, axis2=-1).copy(),
    "spherical": lambda dense: np.trace(dense, axis1=-2, axis2=-1) / dense.shape[-1],
}
_DENSE = {
    "full": lambda own, k, d: own,
    "tied": lambda own, k, d: np.broadcast_to(own, (k, d, d)),
    "diagonal": lambda own, k, d: own[:, :, None] * np.eye(d),
    "spherical": lambda own, k, d: own[:, None, None] * np.eye(d),
}


@dataclass(frozen=True)
class Parameters:
    """Weights (K,), means (K, D) and covariances: (K, D, D), (D, D) tied, (K, D) diagonal or (K,) spherical."""

    weights: Array
    means: Array
    covariances: Array
    structure: str

    @classmethod
    def of(cls, weights: Array, means: Array, dense: Array, structure: str) -> Parameters:
        """Reduces dense covariances to a structure."""
        return cls(weights, means, _REDUCE[structure](dense), structure)

    def dense(self) -> Array:
        """The covariances as matrices (K, D, D)."""
        return _DENSE[self.structure](self.covariances, *self.means.shape)

    def to(self, dtype: str) -> Parameters:
        arrays = (a.astype(dtype) for a in (self.weights, self.means, self.covariances))
        return Parameters(*arrays, self.structure)

    def log_joint(self, x: Array) -> Array:
        """The reference: log densities (N, K) in float64, by Cholesky factors and triangular solves."""
        from scipy.linalg import solve_triangular

        exact, rows = self.to("float64"), x.astype(np.float64)
        joint = np.empty((len(x), len(exact.weights)))
        for k, (weight, mean, covariance) in enumerate(zip(exact.weights, exact.means, exact.dense(), strict=True)):
            factor = np.linalg.cholesky(covariance)
            z = solve_triangular(factor, (rows - mean).T, lower=True)
            logdet = 2 * np.log(np.diagonal(factor)).sum() + rows.shape[1] * np.log(2 * np.pi)
            joint[:, k] = np.log(weight) - 0.5 * ((z * z).sum(0) + logdet)
        return joint

    def log_likelihood(self, x: Array) -> float:
        """The log-likelihood per row, in nats, by the reference."""
        return float(np.logaddexp.reduce(self.log_joint(x), axis=1).mean())


@dataclass(frozen=True)
class Case:
    """One cell of the grid."""

    rows: int
    features: int
    components: int
    structure: str
    dtype: str
    distance: float = 4.0

    @property
    def name(self) -> str:
        overlapping = "-overlapping" if self.distance < 4 else ""
        return f"{self.structure}-{self.rows}x{self.features}x{self.components}-{self.dtype}{overlapping}"

    @cached_property
    def _drawn(self) -> tuple[Array, Parameters]:
        random = np.random.default_rng([self.rows, self.features, self.components])
        k, d = self.components, self.features
        weights = random.dirichlet(np.full(k, 5.0))
        means = random.normal(size=(k, d)) * self.distance / np.sqrt(2 * d)
        mixing = np.eye(d) + 0.5 * random.normal(size=(k, d, d)) / np.sqrt(d)
        mixing *= random.uniform(0.7, 1.4, size=(k, d, 1))
        labels = random.choice(k, self.rows, p=weights)
        x = random.normal(size=(self.rows, d))
        for j in range(k):
            x[labels == j] = x[labels == j] @ mixing[j].T + means[j]
        return x, Parameters.of(weights, means, mixing @ mixing.swapaxes(-1, -2), self.structure)

    @cached_property
    def x(self) -> Array:
        """The rows (N, D)."""
        return np.ascontiguousarray(self._drawn[0].astype(self.dtype))

    @cached_property
    def truth(self) -> Parameters:
        """The mixture that the rows come from, reduced to the structure."""
        return self._drawn[1].to(self.dtype)

    @cached_property
    def start(self) -> Parameters:
        """Equal weights, means a third of a scale away from the true ones, and equal round covariances."""
        k, d = self.components, self.features
        away = np.random.default_rng(1).normal(size=(k, d)) / (3 * np.sqrt(d))
        dense = np.broadcast_to(1.2 * np.eye(d), (k, d, d))
        return Parameters.of(np.full(k, 1 / k), self._drawn[1].means + away, dense, self.structure).to(self.dtype)


def grid(shapes: Iterable[tuple[int, int, int]]) -> list[Case]:
    """Every structure and type at every shape, and cases that overlap."""
    cases = [Case(*shape, structure, dtype) for dtype, structure, shape in product(DTYPES, STRUCTURES, shapes)]
    return [
        other for case in cases for other in (case, replace(case, distance=2.0)) if other.distance == 4 or _both(case)
    ]


def _both(case: Case) -> bool:
    return case.features == 10 and case.structure == "full"
