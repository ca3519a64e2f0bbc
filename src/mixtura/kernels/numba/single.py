"""The passes for labels that give each row to one component, compiled for a CPU.

The log joint of a block comes from the compiled passes; here every row picks its component and adds its moments to that
component alone, once instead of K times. Blocks are as many rows as keep their log joint in the cache.
"""

from __future__ import annotations

from typing import Any

import numpy as np
import torch
from numba import njit
from numpy.typing import NDArray
from torch import Tensor

from ..reference import Diagonal, Full, Kernel
from ..sums import Single, Sums
from . import gaussian as numba_pass

__all__ = ["sums"]

Array = NDArray[Any]

_BLOCK_BYTES = 4 << 20


def sums(
    kernel: Kernel, x: Tensor, weight: Tensor | None, mean: Tensor, scale: Tensor, logits: Tensor, labels: Single
) -> Sums:
    """Everything an update needs, with a whole row for one component."""
    threshold = labels.threshold(x, mean.shape[0])
    shares = numba_pass._weights(x, weight)
    room = _room(kernel, mean, scale.shape[1])
    height = max(1024, _BLOCK_BYTES // (mean.shape[0] * mean.shape[1] * x.element_size()))
    for begin in range(0, len(x), height):
        part = slice(begin, begin + height)
        joint = numba_pass.log_joint(kernel, x[part], mean, scale, logits).numpy()
        drawn = np.empty((0, 0), joint.dtype) if threshold is None else threshold[part].numpy()
        _add(x[part].numpy(), shares[part], mean.double().numpy(), joint, drawn, *room)
    likelihood, mass, shift, second = (torch.from_numpy(field) for field in room)
    return Sums(likelihood, mass, shift, _shaped(kernel, second, mean.shape[2]))


def _room(kernel: Kernel, mean: Tensor, leading: int) -> tuple[Array, ...]:
    restarts, components, features = mean.shape
    second = {Full: features * features, Diagonal: features}.get(kernel, 1)
    shapes = (restarts,), (restarts, components), (restarts, components, features), (restarts, leading, second)
    return tuple(np.zeros(shape) for shape in shapes)


def _shaped(kernel: Kernel, second: Tensor, features: int) -> Tensor:
    if kernel is not Full:
        return second if kernel is Diagonal else second.squeeze(-1)
    lower = second.unflatten(-1, (features, features))
    return lower.tril() + lower.tril(-1).mT


@njit(error_model="numpy", nogil=True, cache=True)
def _add(x, weight, mean, joint, threshold, likelihood, mass, shift, second):
    """Adds the rows of a block to (B,), (B, K), (B, K, D) and (B, K or 1, P), P the size of a second moment."""
    gap = np.zeros(x.shape[1])
    for n in range(x.shape[0]):
        share = np.float64(weight[n]) if weight.size else 1.0
        for b in range(mean.shape[0]):
            k, density = _pick(joint[n, b], threshold[n, b] if threshold.size else -1.0)
            likelihood[b] += share * density
            mass[b, k] += share
            for d in range(gap.size):
                gap[d] = x[n, d] - mean[b, k, d]
                shift[b, k, d] += share * gap[d]
            _spread(gap, share, second[b, k if second.shape[1] > 1 else 0])


@njit(error_model="numpy", nogil=True, cache=True)
def _pick(joint, threshold):
    """The component whose stretch of the cumulative probability holds the threshold, and the log density.

    The most probable component where the threshold is negative.
    """
    top, best = joint[0], 0
    for k in range(1, joint.size):
        if joint[k] > top:
            top, best = joint[k], k
    total = joint.dtype.type(0)
    for k in range(joint.size):
        joint[k] = np.exp(joint[k] - top)
        total += joint[k]
    density = top + np.log(total)
    if threshold >= 0:
        best, reached = 0, joint[0]
        while reached <= threshold * total and best < joint.size - 1:
            best += 1
            reached += joint[best]
    return best, density


@njit(error_model="numpy", nogil=True, cache=True)
def _spread(gap, share, second):
    """Adds a row's second moment: the lower triangle, the diagonal or the trace, by the room there is."""
    features = gap.size
    if second.size == 1:
        for d in range(features):
            second[0] += share * gap[d] * gap[d]
    elif second.size == features:
        for d in range(features):
            second[d] += share * gap[d] * gap[d]
    else:
        for i in range(features):
            for j in range(i + 1):
                second[i * features + j] += share * gap[i] * gap[j]
