r"""Weibull laws on small tables: states and back, moves, spurious optima.

A component becomes two whose scales lie apart, in the column in which it is widest, by the standard deviation of its
logarithm, :math:`\pi / (c \sqrt 6)`; or two about one scale, of different shapes. Each has half its weight.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
from torch import Tensor

from ...data import Rows
from ...kernels.laws import Law
from ...kernels.small_lifetimes import Lifetimes, lifetimes_table
from ...mixture import Mixture
from ..loop.leaps import plain_table
from .flight import Array
from .kind import Kind, replaced
from .spurious import spurious_laws

__all__ = ["LifetimesKind"]

_NESTED = 2.0  # by how much the shapes of two components about one scale are apart, each way


@dataclass(frozen=True, eq=False)
class LifetimesKind(Kind):
    """Weibull laws.

    Arguments:
        like: A batch of mixtures of the family.
    """

    like: Mixture

    @classmethod
    def serves(cls, rows: Rows, start: Mixture) -> bool:
        matching = start.components.matching
        return matching is not None and matching.law is Law.LIFETIMES and plain_table(rows)

    @classmethod
    def of(cls, start: Mixture) -> LifetimesKind:
        return cls(start)

    def states(self, rows: Rows, start: Mixture, floor: Tensor) -> Lifetimes:
        x, components = rows.tensor(), start.components.to(torch.float64)
        table = lifetimes_table(x.reshape(len(x), -1), rows.weight, floor.reshape(-1))
        logits: Any = torch.log_softmax(start.logits.double(), -1)
        each = (one.log().reshape(*logits.shape, -1) for one in components.tensors())
        return Lifetimes.of(table, *(one.numpy() for one in (logits, *each)))

    def mixture(self, states: Lifetimes) -> Mixture:
        components: Any = self.like.components.to(torch.float64)
        shape, dtype = components.scale.shape[1:], self.like.dtype
        scale, concentration = (
            torch.from_numpy(np.exp(one)).reshape(-1, *shape) for one in (states.log_scale, states.log_shape)
        )
        found = components._replace(scale=scale, concentration=concentration).to(dtype)
        return Mixture._of(torch.from_numpy(states.logits.copy()).to(dtype), found)

    def moves(self, states: Lifetimes) -> Lifetimes:
        now = np.exp(states.logits[0]), states.log_scale[0], states.log_shape[0]
        half, scale, shape = now[0] / 2, now[1], now[2]
        push, wide = _half_widths(shape), math.log(_NESTED)
        apart = replaced(now, (half, scale - push, shape), (half, scale + push, shape))
        nested = replaced(now, (half, scale, shape - wide), (half, scale, shape + wide))
        weight, *each = (np.concatenate(pair) for pair in zip(apart, nested, strict=True))
        return states.of(states.table, np.log(weight / weight.sum(1, keepdims=True)), *each)

    def spurious(self, states: Lifetimes, total: Array) -> Array:
        return np.logical_or.reduce(spurious_laws(self.mixture(states), total), 1)


def _half_widths(log_shape: Array) -> Array:
    """Half the standard deviation of the logarithm in the column in which it is the largest, zero in the others."""
    widest = log_shape == log_shape.min(1, keepdims=True)
    return np.where(widest, math.pi / math.sqrt(6) / 2 * np.exp(-log_shape), 0.0)
