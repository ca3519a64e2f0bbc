"""Rows with errors of known variance and with gaps, and what may be behind them."""

from __future__ import annotations

from typing import Any

import numpy as np

from ..components.observation_sequence import as_one
from ..data import Rows, TensorRows
from ..data.arrays import to_tensor
from ..errors import refuse
from ..learning.expectation.recorded import check_recorded
from ..learning.starts.clean_rows import Clean
from ..observation import AdditiveNoise, Missing, Observation

__all__ = ["clean_rows", "counted", "seen_rows"]


def seen_rows(x: np.ndarray, weight: np.ndarray | None, noise: Any, components: int) -> Rows:
    """The rows, with how they were observed where there are errors or gaps.

    Raises:
        MixtureError: If a variance is negative or not finite, shapes do not fit, or a column is empty.
    """
    rows = TensorRows(to_tensor(x), None if weight is None else to_tensor(weight))
    seen: list[Observation] = [] if noise is None else [_noise(noise, x.shape)]
    if np.isnan(x).any():
        seen.append(Missing())
    if not seen:
        return rows
    through = rows.through(as_one(seen))
    check_recorded(through, components)
    return through


def clean_rows(rows: Rows) -> TensorRows:
    """Rows to start from: themselves, or roughly what is behind them."""
    whole = rows.reweighted(rows.weight)
    return whole if rows.observation.exact else Clean.guessed(whole, len(rows), rows.total_weight).rows


def counted(noise: Any, sample_weight: Any) -> Any:
    """The variances of those rows that count, where there are variances for each row."""
    if noise is None or sample_weight is None or np.ndim(noise) < 2 or np.ndim(sample_weight) != 1:
        return noise
    return np.asarray(noise)[np.asarray(sample_weight) > 0]


def _noise(noise: Any, shape: tuple[int, ...]) -> AdditiveNoise:
    array = np.asarray(noise, dtype=np.float64)
    expected = ((), shape[1:], shape, (*shape, shape[1]))
    if array.shape not in expected:
        refuse("noise_variance", f"a number or of shape {expected[1]}, {expected[2]} or {expected[3]}", array.shape)
    if array.ndim == 3:
        return AdditiveNoise(covariance=to_tensor(array), per_row=True)
    return AdditiveNoise(variance=to_tensor(array), per_row=array.ndim == 2)
