"""How far apart the two halves of a split component begin."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

__all__ = ["half_axes"]


def half_axes(covariance: NDArray[Any]) -> NDArray[Any]:
    """Half a standard deviation along the principal axis of each covariance, (K, D, D) to (K, D)."""
    values, axes = np.linalg.eigh(np.nan_to_num(covariance))
    return 0.5 * np.sqrt(np.maximum(values[:, -1:], 0)) * axes[:, :, -1]
