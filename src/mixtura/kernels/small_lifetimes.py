"""Mixtures of Weibull laws under way on small tables, in which rows are logarithms."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import Any, ClassVar, Self

import numpy as np
import torch
from torch import Tensor

from .small import Array, States, Table, compiled, counted

__all__ = ["Lifetimes", "lifetimes_table"]


def lifetimes_table(x: Tensor, weight: Tensor | None, floor: Tensor) -> Table:
    """Lays out the logarithms of rows (N, D) about their means; the floor is a variance of each column, (D,)."""
    rows = x.double() if weight is None else torch.where(weight.unsqueeze(-1) > 0, x.double(), 1.0)
    middle = rows.log().mean(0)
    logarithm = (rows / middle.exp()).log()  # which has all its digits where rows are all but equal
    table = Table.of(logarithm, weight, floor.double())
    values, weights = counted(rows.log(), weight)
    origin = table.origin + middle.numpy()
    with np.errstate(over="ignore"):
        floors = table.floor * np.exp(-2 * origin)
    return replace(table, origin=origin, floor=floors, base=-(weights @ values).sum(keepdims=True))


@dataclass(frozen=True, eq=False)
class Lifetimes(States):
    """Mixtures of Weibull laws under way."""

    bold: ClassVar[bool] = True

    @classmethod
    def of(cls, table: Table, logits: Array, log_scale: Array, log_shape: Array) -> Self:
        """Starts of log weights (S, K), logarithms of scales and of shapes (S, K, D each), in one group."""
        count, components, _ = log_scale.shape
        parts = logits, np.zeros_like(logits), (log_scale - table.origin).reshape(count, -1)
        states = np.concatenate([*parts, log_shape.reshape(count, -1)], 1)
        return cls(table, components, states, np.zeros(count, np.int64), 1 / _units(table, components))

    @property
    def log_scale(self) -> Array:
        """Logarithms of scales, (S, K, D)."""
        return self._each[0] + self.table.origin

    @property
    def log_shape(self) -> Array:
        """Logarithms of shapes, (S, K, D)."""
        return self._each[1]

    @property
    def _each(self) -> Array:
        parts = self.states[:, 2 * self.components :].reshape(len(self), 2, self.components, -1)
        return np.moveaxis(parts, 1, 0)

    def _steps(self) -> tuple[tuple[int, ...], Array, tuple[int, int]]:
        kind: Any = compiled("lifetimes_kind")
        shape = self.components, self.table.features, compiled("driver").WIDTH
        return kind.calls(), np.array(shape), (kind.size_of_spare(*shape), 1)


def _units(table: Table, components: int) -> Array:
    """The unit of each sum of each group; a step in a logarithm of a parameter is one of all rows of a component."""
    each, rows = np.tile(table.unit, components), table.total[:, None] / components
    ones = np.ones_like(each)
    return np.hstack((np.ones((len(each), components)), each, ones, each, each**2, each / rows, ones / rows))
