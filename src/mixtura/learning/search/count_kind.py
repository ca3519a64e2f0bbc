r"""Laws of small counts on small tables, whose sums are histograms.

A row counts as the indicator of its count, and a component pairs it with the log-probabilities of all counts up to the
largest. So the sums of the E-step say all of the rows that an M-step may ask, whatever the law.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
from torch import Tensor

from ...data import Rows
from ...kernels.laws import Law, Matching
from ...kernels.small import Table, small
from ...kernels.small_members import Histograms
from ...mixture import Mixture
from ..loop.leaps import gathered, plain_table
from .flight import Array
from .member_kind import MemberKind

__all__ = ["CountKind"]

_MOST = 160  # numbers of all members of a component


@dataclass(frozen=True, eq=False)
class CountKind(MemberKind):
    """Laws with a compiled M-step from histograms, where the largest count is small."""

    @classmethod
    def serves(cls, rows: Rows, start: Mixture) -> bool:
        matching = start.components.matching
        if matching is None or matching.law is not Law.COUNTS or not plain_table(rows):
            return False
        rows = gathered(rows)
        return small(len(rows), rows.features * (_cells(_counts(rows)) + 2), _MOST)

    def states(self, rows: Rows, start: Mixture, floor: Tensor) -> Histograms:
        rows = gathered(rows)
        counts, components = _counts(rows), start.components.to(torch.float64)
        size = _cells(counts) + 2
        natural: Tensor = components.tabulated(size - 2)  # type: ignore[attr-defined]
        logits = torch.log_softmax(start.logits.double(), -1)
        indicators = torch.nn.functional.one_hot(counts, size).reshape(len(counts), -1)
        table = Table.of_statistics(indicators, torch.zeros(len(counts)), rows.weight, torch.zeros(1))
        parts = logits, torch.zeros_like(logits), natural.reshape(*logits.shape, -1)
        return Histograms.of(table, Matching(Law.COUNTS, size), *(part.detach().numpy() for part in parts))

    def mixture(self, states: Any) -> Mixture:
        components: Any = self.like.components.to(torch.float64)
        whole = torch.from_numpy(states.natural.copy()).unflatten(-1, (-1, states.matching.size))
        found = components.of_table(whole if components.vectors else whole.squeeze(-2)).to(self.like.dtype)
        return Mixture._of(torch.from_numpy(states.logits.copy()).to(self.like.dtype), found)

    def seen(self, states: Any, rows: Array) -> Array:
        size = states.matching.size
        counts = rows.reshape(len(rows), -1, size) @ np.arange(size)
        spread = counts.std(0)
        return counts / np.where(spread > 0, spread, 1)


def _counts(rows: Rows) -> Tensor:
    """The counts as whole numbers (N, D), zero in rows that do not count."""
    counted = rows.tensor().reshape(len(rows), -1)
    return torch.where((rows.each_weight > 0).unsqueeze(-1), counted, 0).long()


def _cells(counts: Tensor) -> int:
    return int(counts.max()) + 1
