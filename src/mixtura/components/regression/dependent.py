r"""Covariates that determine each other, or the target: where effects are not determined, or nothing is left to mix.

Of the correlation matrix of the covariates an eigenvalue within rounding is a linear relation between those of its
eigenvector. What all of them leave of the target is the sum of squares that one regression leaves.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import torch
from torch import Tensor

from ...errors import refuse
from .sums import solved

if TYPE_CHECKING:
    from ...data import Block, Rows

__all__ = ["refuse_dependent", "refuse_related"]

_ROUNDING = 1e-12
_INVOLVED = 1e-3  # the least part in an eigenvector
_DROP = "Leave one of them out: columns=[...] or features=[...]."


@dataclass(frozen=True)
class _Moments:
    """How many rows count, their weight, mean and squares about it, and the largest of each column."""

    count: int
    weight: Tensor
    mean: Tensor
    square: Tensor
    largest: Tensor

    @classmethod
    def of(cls, block: Block, columns: list[int]) -> _Moments:
        weight = block.weights.double()
        x = block.x[:, columns].double().masked_fill((weight == 0).unsqueeze(-1), 0)
        total = weight.sum()
        mean = weight @ x / total.clamp_min(torch.finfo(x.dtype).tiny)
        gap = (x - mean) * weight.sqrt().unsqueeze(-1)
        largest = x.abs().amax(0) if len(x) else torch.zeros_like(mean)
        return cls(int((weight > 0).sum()), total, mean, gap.mT @ gap, largest)

    def __add__(self, other: _Moments) -> _Moments:
        total, step = self.weight + other.weight, other.mean - self.mean
        share = other.weight / total.clamp_min(torch.finfo(total.dtype).tiny)
        between = self.weight * share * step.unsqueeze(-1) * step
        largest = torch.maximum(self.largest, other.largest)
        mean, square = self.mean + share * step, self.square + other.square + between
        return _Moments(self.count + other.count, total, mean, square, largest)

    def rounding(self, rows: Rows) -> Tensor:
        """The lengths of columns that are rounding."""
        return 4 * torch.finfo(rows.dtype).eps * self.largest * self.weight.sqrt()

    def about(self, intercept: bool) -> Tensor:
        """The squares about the mean, or about zero without an intercept."""
        return self.square if intercept else self.square + self.weight * self.mean.unsqueeze(-1) * self.mean


def refuse_dependent(rows: Rows, covariates: list[int], target: int, intercept: bool) -> None:
    """Raises a `MixtureError` that says which covariates determine each other, or that they determine the target."""
    found = rows.reduce(lambda block: _Moments.of(block, [*covariates, target]))
    effects = len(covariates) + intercept
    if found.count <= effects:
        refuse("x", f"at least {effects + 1} rows, for {effects} coefficients", f"{found.count} that count")
    square, none = found.about(intercept), found.rounding(rows)
    _refuse_covariates(rows, covariates, square[:-1, :-1], none[:-1])
    if square[-1, -1] > 0:
        _refuse_target(rows, target, square, none[-1])


def refuse_related(rows: Rows, covariates: list[int], argument: str) -> None:
    """Raises a `MixtureError` where covariates do not vary, or determine each other."""
    found = rows.reduce(lambda block: _Moments.of(block, covariates))
    _refuse_covariates(rows, covariates, found.square, found.rounding(rows), argument)


def _refuse_covariates(
    rows: Rows, covariates: list[int], square: Tensor, rounding: Tensor, argument: str = "features"
) -> None:
    length = square.diagonal().sqrt()
    flat = [c for c, much in zip(covariates, (length > rounding).tolist(), strict=True) if not much]
    if flat:
        came = f"column {', '.join(map(rows.named, flat))}, the same in every row"
        refuse(argument, "covariates that vary", came, "Leave constant columns out with columns=.")
    none = rounding / length
    values, vectors = torch.linalg.eigh(square / length / length.unsqueeze(-1))
    if len(covariates) > 1 and values[0] <= len(covariates) * max(_ROUNDING, none.square().max().item()):
        parts = vectors[:, 0].abs().tolist()
        involved = [c for c, part in zip(covariates, parts, strict=True) if part > _INVOLVED]
        came = f"columns {', '.join(map(rows.named, involved))}, which satisfy a linear equation"
        refuse(argument, "covariates that do not determine each other", came, _DROP)


def _refuse_target(rows: Rows, target: int, square: Tensor, none: Tensor) -> None:
    pull = square[:-1, -1]
    left = square[-1, -1] - solved(square[:-1, :-1], pull) @ pull
    if left <= max(_ROUNDING * square[-1, -1].item(), none.item() ** 2):
        came = f"column {rows.named(target)}, which is linear in the covariates"
        refuse("target", "a column of which the covariates leave something to explain", came)
