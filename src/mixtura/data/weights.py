"""What a vector of row weights must satisfy: one for each row, finite, none negative, not all zero."""

from __future__ import annotations

from collections.abc import Iterator

import torch
from torch import Tensor

from mixtura.errors import refuse

__all__ = ["as_weight", "check_weight", "check_weights"]


def as_weight(weight: object) -> Tensor:
    """Weights given as a tensor, an array, a series or a list, as a tensor; TypeError if they are not
    numbers."""
    if isinstance(weight, Tensor):
        return weight
    try:
        return torch.tensor(getattr(weight, "to_numpy", lambda: weight)(), dtype=torch.float64)
    except (TypeError, ValueError) as error:
        raise TypeError(f"`weight` must be one number for each row; got {type(weight).__name__} ({error}).") from None


def check_weight(weight: Tensor, count: int) -> Tensor:
    """The weights themselves; ValueError unless they are `count` finite numbers, none negative, not all
    zero."""
    if weight.shape != (count,):
        refuse(
            "weight",
            f"one number for each of the {count} rows, shape ({count},)",
            f"shape {tuple(weight.shape)}",
        )
    if count:
        check_weights(iter([weight]))
    return weight


def check_weights(pieces: Iterator[Tensor]) -> tuple[int, float]:
    """Number and sum of weights that come in pieces; ValueError if one is negative or not finite, or all are
    zero."""
    count, total = 0, 0.0
    for piece in pieces:
        _check_values(piece, count)
        count += len(piece)
        total += piece.double().sum().item()
    if count and total == 0:
        refuse("weight", "positive somewhere", f"{count} zeros", "No row would count.")
    return count, total


def _check_values(weight: Tensor, start: int) -> None:
    wrong = ~(weight.isfinite() & (weight >= 0))
    if wrong.any():
        first = int(wrong.nonzero()[0])
        came = f"{weight[first].item()} in row {start + first} (rows are counted from 0)"
        refuse("weight", "finite numbers, zero or more", came, "A row that should not count has weight 0.")
