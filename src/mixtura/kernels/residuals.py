r"""Blocks of residuals that fit the cache: what every torch pass without errors by row is made of.

Residuals about the current means are laid out component by component with the rows innermost, a block of rows at a
time, and every sum is a sum of them:

.. math::
    t_{nk} = x_n - \mu_k, \qquad \log p_{nk} = a_k - \tfrac12 |W_k t_{nk}|^2, \qquad
    \sum_n r_{nk}, \quad \sum_n r_{nk} t_{nk}, \quad \sum_n r_{nk} t_{nk} t_{nk}^\top .

No square is ever taken about another point, so rows and components far from the origin keep their digits.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import TYPE_CHECKING

import torch
from torch import Tensor

if TYPE_CHECKING:
    from .plan import Plan

__all__ = ["Residuals", "alike", "shares"]

_CACHE_BYTES = 1 << 20  # one residual block: the second cache of a core
_GPU_BYTES = 16 << 20
_FEWEST_ROWS = 32


class Residuals:
    """Residuals and log joints of blocks of rows that fit the cache, in one workspace."""

    def __init__(self, plan: Plan, x: Tensor, logits: Tensor) -> None:
        self.x, self.centre, mean = x, *alike(x, plan.mean)
        self.logits, self.form = logits.to(x.dtype).unsqueeze(-1), plan.form
        self.factor = plan.form.laid_out(plan.factors.to(x.dtype))
        self.mean = mean.reshape(-1, mean.shape[-1], 1)
        self.height = max(_FEWEST_ROWS, _budget(x.device) // (mean.numel() * x.element_size()))

    def __iter__(self) -> Iterator[tuple[slice, Tensor, Tensor, Tensor]]:
        """Rows, residuals (BK, D, n), log joints (B, K, n), and room for more residuals."""
        if len(self.x) <= self.height:  # a small table is one block
            yield self._block(slice(None), self.x, *self._space(len(self.x)))
            return
        t, room = self._space(self.height)
        for start in range(0, len(self.x), self.height):
            rows = self.x[start : start + self.height]
            if len(rows) < self.height:
                t, room = self._space(len(rows))
            yield self._block(slice(start, start + self.height), rows, t, room)

    def moments(self, t: Tensor, r: Tensor, room: Tensor) -> list[Tensor]:
        """The sums of r t and of r times the second moment of t over a block, in float64."""
        weighed = torch.mul(t, r.reshape(t.shape[0], 1, -1), out=room)
        first = weighed.sum(-1).double()
        return [first, self.form.second(weighed, t).double()]

    def _block(self, rows: slice, x: Tensor, t: Tensor, room: Tensor) -> tuple[slice, Tensor, Tensor, Tensor]:
        torch.sub((x if self.centre is None else x - self.centre).mT, self.mean, out=t)
        distance = self.form.distance(self.factor, t, room).view(*self.logits.shape[:2], -1)
        return rows, t, torch.add(self.logits, distance, alpha=-0.5), room

    def _space(self, rows: int) -> tuple[Tensor, Tensor]:
        shape = *self.mean.shape[:2], rows
        return self.x.new_empty(shape), self.x.new_empty(shape)


def alike(x: Tensor, mean: Tensor) -> tuple[Tensor | None, Tensor]:
    """Means in the type of the rows; those of another type are cast about a centre, which comes first."""
    if mean.dtype == x.dtype:
        return None, mean
    centre = mean.mean((0, 1)).to(x.dtype)
    return centre, (mean - centre.to(mean.dtype)).to(x.dtype)


def shares(mean: Tensor) -> list[slice]:
    """Restarts whose residuals for a few rows fit the workspace together."""
    if len(mean) == 1:
        return [slice(None)]
    count = max(1, _budget(mean.device) // (_FEWEST_ROWS * 8 * mean[0].numel()))
    return [slice(i, i + count) for i in range(0, mean.shape[0], count)]


def _budget(device: torch.device) -> int:
    return _CACHE_BYTES if device.type == "cpu" else _GPU_BYTES
