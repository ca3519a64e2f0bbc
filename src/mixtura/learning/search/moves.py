r"""Moves from the best optimum: a component is taken from where it is of little use and put where one is missing.

Of K components, i is dropped and j becomes two, at :math:`\mu_j \pm \tfrac12\sqrt\lambda\,v` along its principal axis
(:math:`\lambda`, v), each with half its weight. All pairs (i, j) are tried together, a few updates each; the best go on
to the end, and what they found is the new best if it gains. That is repeated until nothing gains.
"""

from __future__ import annotations

from dataclasses import replace
from itertools import permutations

import numpy as np

from ...kernels.small import End, Starts
from .flight import Array
from .half_axes import half_axes
from .race import SAME, distinct
from .small_flight import SmallFlight

__all__ = ["moved"]

_ROUNDS = 20  # a bound that is never met: each round must gain
_SHORT = 10
_NESTED = 1.5  # by how much the scales of two components about one mean are apart, each way
_FOLLOWED = 6
_BASES = 3  # optima from which moves are made


def moved(found: SmallFlight, total: Array) -> SmallFlight:
    """Returns a flight of few starts, best first, of which the first ends no lower than that of a flight.

    Arguments:
        found: Starts of one group, best first.
        total: The weight of the rows of the group, (1,).
    """
    best = _best(found, total)
    for _ in range(_ROUNDS):
        if best.interrupted or best.starts.components < 3 or best.ends[0] != End.CONVERGED:
            return best
        after = _best(best.joined(_followed(best, total)), total)
        if not after.objective[0, 0] > best.objective[0, 0] + SAME / total[0]:
            return best
        best = after
    return best


def _best(flight: SmallFlight, total: Array) -> SmallFlight:
    """The best few optima of the data."""
    flight, _ = distinct(flight, np.ones(flight.objective.shape, np.int64), total, flight.objective.shape[1])
    order = np.argsort(flight.spurious(total), 1, kind="stable")
    return flight.kept(order[:, :_BASES])


def _followed(best: SmallFlight, total: Array) -> SmallFlight:
    """The best few of all moves, where they end."""
    starts = best.starts
    states = np.concatenate([_proposed(starts.take(np.array([base]))).states for base in range(len(starts))])
    every = replace(starts, states=states, group=np.repeat(starts.group[:1], len(states)))
    tried = SmallFlight.of(best.method, every, 1).advanced(_SHORT)
    tried, _ = distinct(tried, np.ones(tried.objective.shape, np.int64), total, _FOLLOWED)
    return tried.finished()


def _proposed(starts: Starts) -> Starts:
    """All moves from one start."""
    weights, mean, covariance = np.exp(starts.logits[0]), starts.mean[0], starts.covariance[0]
    push = half_axes(covariance)
    apart = _replaced(weights, mean, covariance, push, 1.0)
    nested = _replaced(weights, mean, covariance, np.zeros_like(push), _NESTED)
    logits, means, covariances = (np.concatenate(parts) for parts in zip(apart, nested, strict=True))
    return Starts.of(starts.table, starts.step, logits, means, covariances, np.repeat(starts.group, len(logits)))


def _replaced(weights: Array, mean: Array, covariance: Array, push: Array, scale: float) -> tuple[Array, Array, Array]:
    """For all pairs, the first component is dropped and the second becomes two, pushed apart, of scales apart."""
    pairs = np.array(list(permutations(range(len(weights)), 2)))
    line, dropped, split = np.arange(len(pairs)), pairs[:, 0], pairs[:, 1]
    weights, mean, covariance = (np.tile(part, (len(pairs), *(1,) * part.ndim)) for part in (weights, mean, covariance))
    weights[line, split] /= 2
    weights[line, dropped] = weights[line, split]
    mean[line, dropped] = mean[line, split] + push[split]
    mean[line, split] -= push[split]
    covariance[line, dropped] = covariance[line, split] * scale**2
    covariance[line, split] /= scale**2
    return np.log(weights / weights.sum(1, keepdims=True)), mean, covariance
