"""Where single entries of a row may lie, as torch constraints, and what they are called in words."""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor
from torch.distributions import constraints

__all__ = ["OPEN_UNIT", "SHARES", "UNIT_LENGTH", "codes", "in_words", "moved_inside", "representable", "trials"]


class _Entries(constraints.Constraint):
    """A constraint that judges entry by entry, and knows its words."""

    words: str

    def __str__(self) -> str:
        return self.words


class _OpenUnit(type(constraints.unit_interval)):
    """Numbers between 0 and 1, neither of them included."""

    def __str__(self) -> str:
        return "strictly between 0 and 1"

    def check(self, value: Tensor) -> Tensor:
        return (value > 0) & (value < 1)


class _Shares(_Entries):
    words = "positive shares that sum to one in every row"

    def check(self, value: Tensor) -> Tensor:
        return (value > 0) & ((value.sum(-1, keepdim=True) - 1).abs() <= _rounding(value))


class _UnitLength(_Entries):
    words = "vectors of length one"

    def check(self, value: Tensor) -> Tensor:
        return ((value.norm(dim=-1, keepdim=True) - 1).abs() <= _rounding(value)).expand(value.shape)


class _Codes(type(constraints.integer_interval(0, 1))):
    """Category codes: whole numbers from 0 on."""

    def __str__(self) -> str:
        return f"category codes 0 to {self.upper_bound}"


OPEN_UNIT, SHARES, UNIT_LENGTH = _OpenUnit(0.0, 1.0), _Shares(), _UnitLength()


def codes(categories: int) -> Any:
    """Returns the domain of the codes of so many categories."""
    return _Codes(0, categories - 1)


class _Trials(type(constraints.integer_interval(0, 1))):
    """Successes in so many trials."""

    def __str__(self) -> str:
        most = self.upper_bound
        return "0 or 1" if most == 1 else f"whole numbers between 0 and {most}"


def trials(total_count: int) -> Any:
    """Returns the domain of successes in so many trials."""
    return _Trials(0, total_count)


def in_words(domain: Any) -> str:
    """Says what an entry of a row must be.

    Example:
        >>> from mixtura.components.domains import in_words
        >>> in_words(torch.distributions.constraints.nonnegative_integer)
        'whole numbers of at least 0'
    """
    return next((words for known, words in _WORDS if domain is known), str(domain))


def moved_inside(x: Tensor, domain: Any) -> Tensor:
    """Moves entries of rows ``(N, ...)`` that lie outside of a domain with bounds inside, to about where others are.

    Example:
        >>> from mixtura.components.domains import moved_inside
        >>> moved_inside(torch.tensor([-3.0, 1.0, 3.0]), torch.distributions.constraints.positive)
        tensor([0.2000, 1.0000, 3.0000])
    """
    low, high = (getattr(domain, name, None) for name in ("lower_bound", "upper_bound"))
    if domain.is_discrete:
        return x.clamp(low, high) if low is not None else x
    if low is None:
        return x
    inside = (x > low) & (x < (torch.inf if high is None else high))
    width = (x - low).where(inside, 0).sum(0) / inside.sum(0).clamp_min(1)
    least = low + _NEAR_END * torch.where(width > 0, width, 1)
    return x.maximum(least) if high is None else x.maximum(least).minimum(high - (least - low))


_NEAR_END = 0.1  # of the mean distance from an end: the nearest to it that an entry is moved


def representable(x: Tensor) -> Tensor:
    """Draws of positive numbers, those beyond what their type can hold as the least or the greatest that it holds."""
    finfo = torch.finfo(x.dtype)
    return x.clamp(finfo.tiny, finfo.max)


def _rounding(value: Tensor) -> float:
    return 1e-6 if value.dtype == torch.float64 else 1e-4


_WORDS: list[tuple[Any, str]] = [
    (constraints.real, "a number"),
    (constraints.positive, "positive"),
    (constraints.nonnegative, "at least 0"),
    (constraints.nonnegative_integer, "whole numbers of at least 0"),
    (constraints.boolean, "0 or 1"),
    (constraints.unit_interval, "between 0 and 1"),
]
