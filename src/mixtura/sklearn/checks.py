"""Checks of what a user gives, with scikit-learn's errors and words."""

from __future__ import annotations

from typing import Any, cast

import numpy as np
import torch
from sklearn.base import BaseEstimator
from sklearn.utils import check_array
from sklearn.utils.multiclass import check_classification_targets
from sklearn.utils.validation import _check_sample_weight, validate_data
from torch import Tensor

from .kinds import Kind

__all__ = [
    "checked_array",
    "checked_precisions",
    "checked_rows",
    "checked_rows_and_numbers",
    "checked_rows_and_targets",
    "checked_sample_weight",
    "checked_weights",
]


_FLOATS: Any = [np.float64, np.float32]


def checked_rows(estimator: BaseEstimator, x: Any, **options: Any) -> np.ndarray:
    """Returns rows as an array of floating point numbers, checked by scikit-learn's rules.

    Raises:
        ValueError: If they are not numbers, not finite, or not what the estimator was fitted to.
    """
    return cast(np.ndarray, validate_data(estimator, x, dtype=_FLOATS, **options))


def checked_rows_and_targets(estimator: BaseEstimator, x: Any, y: Any) -> tuple[np.ndarray, np.ndarray]:
    """Returns rows and the class of each.

    Raises:
        ValueError: If the rows are not what `checked_rows` asks, or the targets are not classes, one per row.
    """
    rows, targets = validate_data(estimator, x, y, dtype=_FLOATS, ensure_min_samples=2)
    check_classification_targets(targets)
    return cast(np.ndarray, rows), cast(np.ndarray, targets)


def checked_rows_and_numbers(estimator: BaseEstimator, x: Any, y: Any, **options: Any) -> tuple[np.ndarray, np.ndarray]:
    """Returns rows and their targets ``(N,)`` or ``(N, T)``, numbers of the same type.

    Raises:
        ValueError: If the rows are not what `checked_rows` asks, or there are not targets of finite numbers for each.
    """
    options |= {"multi_output": True, "y_numeric": True, "ensure_min_samples": 2}
    checked = validate_data(estimator, x, y, dtype=_FLOATS, **options)
    rows, targets = (cast(np.ndarray, one) for one in checked)
    with np.errstate(over="ignore"):
        targets = targets.astype(rows.dtype)
    if not np.isfinite(targets).all():
        raise ValueError("Input y contains numbers that are too large for the type of X.")
    return rows, targets


def checked_array(value: Any, shape: tuple[int, ...], name: str) -> Tensor:
    """Returns an array of that shape as a tensor.

    Raises:
        ValueError: If the shape is another.
    """
    array = check_array(value, dtype=_FLOATS, ensure_2d=False, allow_nd=True, ensure_min_samples=0)
    if array.shape != shape:
        raise ValueError(f"The parameter '{name}' should have the shape of {shape}, but got {array.shape}")
    return torch.tensor(array)


def checked_weights(value: Any, components: int) -> Tensor:
    """Returns weights that are between zero and one and sum to one.

    Raises:
        ValueError: If they are not.
    """
    weights = checked_array(value, (components,), "weights")
    if not bool(((weights >= 0) & (weights <= 1)).all()):
        raise ValueError(
            "The parameter 'weights' should be in the range [0, 1], "
            f"but got max value {weights.min():.5f}, min value {weights.max():.5f}"  # their words, in their order
        )
    slack = 1e-6 if weights.dtype == torch.float32 else 1e-8
    if abs(1 - weights.sum().item()) > slack:
        raise ValueError(f"The parameter 'weights' should be normalized, but got sum(weights) = {weights.sum():.5f}")
    return weights


def checked_precisions(value: Any, kind: Kind, components: int, features: int) -> Tensor:
    """Returns precisions of the shape of a covariance type, positive definite.

    Raises:
        ValueError: If they are not.
    """
    precisions = checked_array(value, kind.shape(components, features), f"{kind.name} precision")
    kind.check(precisions)
    return precisions


def checked_sample_weight(value: Any, x: np.ndarray) -> np.ndarray | None:
    """Returns one finite, non-negative weight per row, or none where none are given.

    Raises:
        ValueError: If the shape is wrong, a weight is negative, or all are zero.
    """
    if value is None:
        return None
    weight = _check_sample_weight(value, x, dtype=x.dtype)
    if (weight < 0).any():
        raise ValueError("Negative values in data passed to `sample_weight`: every weight must be at least 0.")
    if not (weight > 0).any():
        raise ValueError("`sample_weight` is zero for all rows; at least one row must count.")
    return weight
