"""Rows in groups: labels of any whole, broken or written kind, as names in order and one code for each row.

Labels are given one for each row, or as the name of a column that holds them; such a column is no feature. Every row
has a label: which group it belongs to cannot be guessed.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import Tensor

from mixtura.data.blocks import Rows
from mixtura.data.frames import columns_of
from mixtura.data.names import choose
from mixtura.data.reading import read_column
from mixtura.errors import refuse

__all__ = ["Groups", "grouping"]


@dataclass(frozen=True)
class Groups:
    """Which group each row belongs to.

    Arguments:
        names: The label of each group, in rising order: whole numbers, numbers, truth values or texts.
        codes: The place of each row's group among the names, with shape ``(N,)``.
    """

    names: tuple[Any, ...]
    codes: Tensor

    @cached_property
    def sizes(self) -> np.ndarray:
        """How many rows each group has, ``(G,)``."""
        return np.bincount(self.codes.numpy(), minlength=len(self.names))


def grouping(x: Any, groups: Any) -> Groups:
    """The groups that the rows of ``x`` are in.

    Arguments:
        x: The rows, in any form that `rows` takes.
        groups: One label for each row (a tensor, an array, a series or a list), or the name of a column of ``x``.

    Raises:
        MixtureError: If there is no such column, a row has no label, or there is not one for each row.

    Example:
        >>> from mixtura.data import grouping
        >>> grouping({"gene": ["b", "a", "b"], "level": [1.0, 2.0, 3.0]}, "gene")
        Groups(names=('a', 'b'), codes=tensor([1, 0, 1]))
    """
    column = _column(x, groups) if isinstance(groups, str) else groups
    _check_present(_gaps(column))
    labels = _labels(column)
    count = None if isinstance(x, str | Path) else _count(x)
    if labels.ndim != 1 or (count is not None and len(labels) != count):
        expected = "one label for each row" if count is None else f"one label for each of the {count} rows"
        refuse("groups", expected, f"labels of shape {tuple(labels.shape)}")
    if labels.dtype.kind not in "biu":
        _check_present((labels != labels) | (labels == ""))  # NaN, or a text that is empty
    names, codes = _coded(labels)
    return Groups(tuple(names.tolist()), torch.from_numpy(codes))


def _column(x: Any, name: str) -> Any:
    """A column of a table or file by its name, whatever it holds."""
    if isinstance(x, str | Path):
        return read_column(x, name)
    table = None if isinstance(x, Tensor) else columns_of(x)
    if table is None:
        advice = "Pass the labels themselves, one for each row."
        refuse("groups", "labels, because x has no named columns to find them in", repr(name), advice)
    choose(list(table), (name,), None, "groups")
    return table[name]


def _coded(labels: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """The different labels in order, and the place of each among them; whole numbers close together need no sorting."""
    if labels.dtype.kind in "iu" and len(labels):
        low, high = int(labels.min()), int(labels.max())
        if high - low < 4 * len(labels) and high < 2**62:
            from_low = np.subtract(labels, low, dtype=np.int64)
            there = np.bincount(from_low) > 0
            names = (np.flatnonzero(there) + low).astype(labels.dtype)
            return names, from_low if there.all() else (np.cumsum(there) - 1)[from_low]
    names, codes = np.unique(labels, return_inverse=True)
    return names, codes.reshape(-1).astype(np.int64)


def _count(x: Any) -> int:
    table = None if isinstance(x, Tensor | Rows) else columns_of(x)
    return len(next(iter(table.values()))) if table else len(x)


def _gaps(column: Any) -> np.ndarray:
    """Which labels are absent, in the words of the library that they come from."""
    asked = getattr(column, "isna", None) or getattr(column, "is_null", None)
    if asked is not None:
        return np.asarray(asked())
    return np.array([_is_gap(value) for value in column], dtype=bool) if isinstance(column, list | tuple) else _NONE


def _is_gap(value: Any) -> bool:
    return value is None or (isinstance(value, float) and value != value)


_NONE = np.zeros(1, dtype=bool)


def _labels(column: Any) -> np.ndarray:
    """Labels as an array of numbers or texts, none of them absent."""
    found = np.asarray(column.detach().cpu() if isinstance(column, Tensor) else column)
    if found.dtype.kind not in "biufUOM":
        refuse("groups", "whole numbers, numbers or texts", f"labels of type {found.dtype}")
    if found.dtype == object:
        _check_present(np.array([_is_gap(value) for value in found.flat], dtype=bool))
    return found.astype(str) if found.dtype.kind in "OM" else found


def _check_present(absent: np.ndarray) -> None:
    """Refuses rows without a label."""
    if absent.any():
        first = int(absent.nonzero()[0][0])
        came = f"none in {int(absent.sum())} of {len(absent)} rows, the first of them row {first} (counted from 0)"
        refuse("groups", "a label for every row", came, "Drop these rows, or give them a label of their own.")
