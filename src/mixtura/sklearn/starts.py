"""Initial responsibilities by scikit-learn's conventions: the same draws from the same `random_state`."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
from sklearn.cluster import KMeans, kmeans_plusplus

__all__ = ["STARTS"]

Start = Callable[[np.ndarray, np.ndarray | None, int, np.random.RandomState], np.ndarray]
"""From rows ``(N, D)``, row weights ``(N,)`` or none, K and a source of randomness to responsibilities ``(N, K)``."""


def k_means(x: np.ndarray, weight: np.ndarray | None, components: int, random: np.random.RandomState) -> np.ndarray:
    """Gives each row to its cluster by K-means."""
    clusters = KMeans(n_clusters=components, n_init=1, random_state=random)  # type: ignore[arg-type]
    clusters.fit(x, sample_weight=weight)
    return np.eye(components, dtype=x.dtype)[clusters.labels_]


def k_means_plus_plus(
    x: np.ndarray, weight: np.ndarray | None, components: int, random: np.random.RandomState
) -> np.ndarray:
    """Gives each component one row, chosen far from each other."""
    _, rows = kmeans_plusplus(x, components, sample_weight=weight, random_state=random)
    return _one_each(x, rows)


def uniform(x: np.ndarray, weight: np.ndarray | None, components: int, random: np.random.RandomState) -> np.ndarray:
    """Draws responsibilities uniformly and normalises them."""
    r = random.uniform(size=(len(x), components)).astype(x.dtype)
    return r / r.sum(axis=1, keepdims=True)


def random_rows(x: np.ndarray, weight: np.ndarray | None, components: int, random: np.random.RandomState) -> np.ndarray:
    """Gives each component one row drawn at random, by weight."""
    share = None if weight is None else weight.astype(np.float64) / weight.sum(dtype=np.float64)
    return _one_each(x, random.choice(len(x), size=components, replace=False, p=share))


def _one_each(x: np.ndarray, rows: np.ndarray) -> np.ndarray:
    r = np.zeros((len(x), len(rows)), dtype=x.dtype)
    r[rows, np.arange(len(rows))] = 1
    return r


STARTS: dict[str, Start] = {
    "kmeans": k_means,
    "k-means++": k_means_plus_plus,
    "random": uniform,
    "random_from_data": random_rows,
}
