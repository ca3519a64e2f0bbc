"""A family bound to rows before there are any: a few that it could have drawn."""

from __future__ import annotations

from functools import singledispatch
from typing import Any

import torch
from torch import Tensor
from torch.nn.functional import normalize

from ..components import Family
from ..components.composed.product import ProductFamily
from ..components.domains import SHARES, UNIT_LENGTH, moved_inside
from ..data import TensorRows, check_data

__all__ = ["bound"]

_ROWS = 16
_VECTORS = {SHARES: lambda x: x.softmax(-1), UNIT_LENGTH: lambda x: normalize(x, dim=-1)}


def bound(family: Family, features: int | None) -> tuple[Family, int | None]:
    """Returns the family with what it takes from rows of so many features, and how many features they have.

    Arguments:
        family: The family.
        features: The number of features of a row; none for numbers, and where the family says.
    """
    x = _rows(family, features)
    table = TensorRows(x)
    return family.bind(table, check_data(table, spread=False)), x.shape[1] if x.ndim > 1 else None


@singledispatch
def _rows(family: Any, features: int | None) -> Tensor:
    """Some rows in the support of a family, ``(n,)`` or ``(n, D)``."""
    x = torch.randn((_ROWS,) if features is None else (_ROWS, features))
    if family.domain in _VECTORS:
        return _VECTORS[family.domain](x)
    return moved_inside((2 * x.abs()).floor() if family.discrete else x, family.domain)


@_rows.register
def _(family: ProductFamily, features: int | None) -> Tensor:
    x = torch.empty(_ROWS, sum(len(group) for group in family.columns))
    for part, group in zip(family.parts, family.columns, strict=True):
        x[:, list(group)] = _rows(part, len(group))
    return x
