r"""Exponential families on small tables: states and back, moves, spurious optima.

A component becomes two by its own rows: those on either side of its mean statistics along their principal axis, or
those near to it and those far away, each half with the parameters that match its mean statistics.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
from torch import Tensor

from ...data import Rows
from ...kernels.laws import Law
from ...kernels.small import Table, small
from ...kernels.small_members import Members
from ...mixture import Mixture
from ..loop.leaps import plain_table
from .flight import Array
from .kind import Kind, replaced
from .spurious import spurious_laws

__all__ = ["MemberKind"]

_MOST_STATISTICS = 128
_MOST = {Law.DIRECTION: 16}  # for Bessel functions of low order

Parts = tuple[Array, Array, Array]
"""Weights (K,), log-normalisers (K,) and natural parameters (K, F)."""


@dataclass(frozen=True, eq=False)
class MemberKind(Kind):
    """Members of an exponential family with a compiled M-step, whose statistics of rows are few.

    Arguments:
        like: A batch of mixtures of the family.
    """

    like: Mixture

    @classmethod
    def serves(cls, rows: Rows, start: Mixture) -> bool:
        components: Any = start.components
        matching = components.matching
        if matching is None or matching.law > Law.DIRECTION or not plain_table(rows):
            return False
        return small(len(rows), components.natural[0, 0].numel(), _MOST.get(matching.law, _MOST_STATISTICS))

    @classmethod
    def of(cls, start: Mixture) -> MemberKind:
        return cls(start)

    def states(self, rows: Rows, start: Mixture, floor: Tensor) -> Members:
        components: Any = start.components.to(torch.float64)
        x = rows.tensor().double()
        logits, natural = torch.log_softmax(start.logits.double(), -1), components.natural
        normaliser = components.log_normaliser(natural).reshape(*logits.shape, -1).sum(-1)
        statistics, base = components.sufficient(x).reshape(len(x), -1), components.base(x).reshape(len(x), -1).sum(-1)
        parts = logits, normaliser, natural.reshape(*logits.shape, -1)
        table = Table.of_statistics(statistics, base, rows.weight, floor.reshape(-1))
        return Members.of(table, components.matching, *(part.detach().numpy() for part in parts))

    def mixture(self, states: Members) -> Mixture:
        components: Any = self.like.components.to(torch.float64)
        dtype = self.like.dtype
        natural = torch.from_numpy(states.natural.copy()).reshape(len(states), *components.natural.shape[1:])
        return Mixture._of(torch.from_numpy(states.logits.copy()).to(dtype), components.at_natural(natural).to(dtype))

    def moves(self, states: Members) -> Members:
        rows, weights = states.table.plain
        r = states.responsibilities(rows) * weights[:, None]
        now = np.exp(states.logits[0]), states.normaliser[0], states.natural[0]
        scaled = self.seen(states, rows)
        several = [replaced(now, *_halves(states, rows, r, near)) for near in (_side(scaled, r), _near(scaled, r))]
        weight, normaliser, natural = (np.concatenate(pair) for pair in zip(*several, strict=True))
        logits = np.log(weight / weight.sum(1, keepdims=True))
        return states.of(states.table, states.matching, logits, normaliser, natural)

    def seen(self, states: Any, rows: Array) -> Array:
        """Rows (N, F) as numbers of like size in which nearness means something, (N, ...)."""
        return rows / states.table.unit[0]

    def spurious(self, states: Members, total: Array) -> Array:
        return np.logical_or.reduce(spurious_laws(self.mixture(states), total), 1)


def _halves(states: Members, rows: Array, r: Array, near: Array) -> list[Parts]:
    """The two that each component becomes: by those of its rows, (N, K), and the others; NaN where there are none."""
    halves = [r * near, r * ~near]
    weights = [np.where(half.any(0), half.sum(0), np.nan) for half in halves]
    return [(one / r.sum(), *states.matched(one, half.T @ rows)) for one, half in zip(weights, halves, strict=True)]


def _side(rows: Array, r: Array) -> Array:
    """Which rows lie on one side of a component's mean along its principal axis, (N, K)."""
    ahead = [z @ np.linalg.eigh((z * one[:, None]).T @ z)[1][:, -1] for z, one in _centred(rows, r)]
    return np.greater(np.stack(ahead, 1), 0)


def _near(rows: Array, r: Array) -> Array:
    """Which rows are nearer to a component's mean than half of its weight, (N, K)."""
    far = [(np.square(z).sum(1), one) for z, one in _centred(rows, r)]
    return np.stack([distance <= _median(distance, one) for distance, one in far], 1)


def _centred(rows: Array, r: Array) -> list[tuple[Array, Array]]:
    """For each component rows about its mean, (N, F), and its share of each row, (N,)."""
    share = r / np.maximum(r.sum(0), np.finfo(float).tiny)
    return [(rows - one @ rows, one) for one in share.T]


def _median(values: Array, weight: Array) -> Array:
    order = np.argsort(values)
    below = np.cumsum(weight[order]) < 0.5 * weight.sum()
    return values[order[min(below.sum(), len(order) - 1)]]
