"""Rows with the same gaps, which are worked on together."""

from __future__ import annotations

from collections.abc import Iterator

import torch
from torch import Tensor

__all__ = ["each_pattern", "patterns"]


def each_pattern(y: Tensor, missing: bool) -> Iterator[tuple[Tensor | None, list[int]]]:
    """The rows of each pattern of gaps, None for all of them, and the coordinates recorded there."""
    recorded = ~y.isnan()
    if not missing or bool(recorded.all()):
        yield None, list(range(y.shape[-1]))
        return
    which = _codes(recorded)
    for code in which.unique():
        index = (which == code).nonzero().squeeze(-1)
        yield index, recorded[index[0]].nonzero().squeeze(-1).tolist()


def patterns(absent: Tensor) -> tuple[Tensor, Tensor]:
    """The patterns of gaps ``(U, M)`` among those of rows ``(N, M)``, and which each row has, ``(N,)``."""
    _, index = torch.unique(_codes(~absent), return_inverse=True)
    first = torch.full((int(index.max()) + 1,), len(index), device=index.device)
    first = first.scatter_reduce(0, index, torch.arange(len(index), device=index.device), "amin")
    return absent[first], index


def _codes(recorded: Tensor) -> Tensor:
    """A number for each row that tells its pattern."""
    if recorded.shape[-1] > 62:
        return torch.unique(recorded, dim=0, return_inverse=True)[1]
    powers = 2 ** torch.arange(recorded.shape[-1], device=recorded.device)
    return (recorded * powers).sum(-1)
