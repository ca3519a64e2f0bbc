"""What is known of Gaussian rows whose coordinates were recorded, are known up to limits, or are not known at all.

One compiled pass answers for all rows of a kind and all components, where gradients are not asked for.
"""

from __future__ import annotations

from typing import Any

import numpy as np
import torch
from torch import Tensor

from .compiled import box_module
from .threads import in_threads, workers

__all__ = ["known_in_boxes", "serves_boxes"]

_GRAIN = 5_000  # boxes worth another thread: about a millisecond
_ALIKE = 1e-9  # of a size


def serves_boxes(law: tuple[Tensor, Tensor], limits: tuple[Tensor, Tensor], inside: int) -> bool:
    """Whether rows with so many coordinates between limits are read by the compiled pass.

    Arguments:
        law: Means (1, K, D) and covariances (1, K, D, D).
        limits: Lower and upper limits (N, D).
        inside: How many coordinates are between limits.
    """
    mine = all(one.device.type == "cpu" and one.dtype is torch.float64 for one in (*law, *limits))
    shared = len(law[0]) == 1 and len(law[1]) == 1
    traced = torch.is_grad_enabled() and any(one.requires_grad for one in (*law, *limits))
    steps: Any = box_module("passes") if mine and shared and not traced else None
    return steps is not None and inside <= steps.MOST_INSIDE


def known_in_boxes(
    law: tuple[Tensor, Tensor],
    limits: tuple[Tensor, Tensor],
    index: Tensor,
    kind: tuple[list[int], list[int]],
    out: tuple[Tensor, Tensor, Tensor],
) -> None:
    """Writes log-densities, and means and second moments about the components' means, of rows of one kind.

    Arguments:
        law: Means (1, K, D) and covariances (1, K, D, D).
        limits: Lower and upper limits (N, D), equal where a value was recorded, infinite where nothing is known.
        index: Which rows are meant, (n).
        kind: Their coordinates that were recorded, and those between limits.
        out: Tensors (N, K), (K, N, D) and (K, N, D, D), contiguous.
    """
    steps: Any = box_module("passes")
    arrays = [_array(one) for one in (*limits, *(one[0] for one in law), index, *out)]
    low, high, mean, covariance, rows, *found = arrays
    components, features = mean.shape
    known = kind[0] + kind[1]
    order = np.array([*known, *(d for d in range(features) if d not in known)])
    alike = _alike(limits[0][index][:, kind[1]], limits[1][index][:, kind[1]])
    sizes = np.array([len(low), components, features, *map(len, kind), int(alike)])

    def run(begin: int, end: int) -> None:
        steps.known_in_boxes((low, high), (mean, covariance), (order, sizes), rows, begin, end, tuple(found))

    in_threads(run, len(rows), workers(len(rows) * components * (len(kind[1]) + 1), _GRAIN))


def _alike(low: Tensor, high: Tensor) -> bool:
    """Whether boxes are of one finite size."""
    size = high - low
    return bool(((size - size[0]).abs() <= _ALIKE * size[0]).all() and size[0].isfinite().all())


def _array(tensor: Tensor) -> Any:
    return tensor.detach().contiguous().numpy()
