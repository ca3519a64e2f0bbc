"""Rows that each belong to one component: the loops of `single`."""

import numpy as np

from .joints import kernel

__all__ = ["add_rows", "pick"]


@kernel
def add_rows(x, weight, mean, joint, threshold, likelihood, mass, shift, second):
    """Adds the rows of a block to (B,), (B, K), (B, K, D) and (B, K or 1, P), P the size of a second moment."""
    gap = np.zeros(x.shape[1])
    for n in range(x.shape[0]):
        share = np.float64(weight[n]) if weight.size else 1.0
        for b in range(mean.shape[0]):
            k, density = pick(joint[n, b], threshold[n, b] if threshold.size else -1.0)
            likelihood[b] += share * density
            mass[b, k] += share
            for d in range(gap.size):
                gap[d] = x[n, d] - mean[b, k, d]
                shift[b, k, d] += share * gap[d]
            spread(gap, share, second[b, k if second.shape[1] > 1 else 0])


@kernel
def pick(joint, threshold):
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


@kernel
def spread(gap, share, second):
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
