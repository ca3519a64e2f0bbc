"""Which floating-point type data get: float32 and float64 are kept, half precision becomes float32, the rest
float64."""

from __future__ import annotations

from collections.abc import Iterable
from functools import reduce

import torch

from mixtura.errors import refuse

__all__ = ["check_dtype", "common", "floating"]

_HALF = (torch.float16, torch.bfloat16)


def floating(dtype: torch.dtype) -> torch.dtype:
    """The type in which numbers of `dtype` are worked with; TypeError for complex numbers."""
    if dtype.is_complex:
        raise TypeError(f"`x` must be real; got {dtype}. Pass the real and imaginary parts as two columns.")
    if dtype in _HALF:
        return torch.float32
    return dtype if dtype.is_floating_point else torch.float64


def common(dtypes: Iterable[torch.dtype]) -> torch.dtype:
    """The type of a table whose columns have `dtypes`: float32 only where all are."""
    return reduce(torch.promote_types, (floating(dtype) for dtype in dtypes))


def check_dtype(dtype: torch.dtype | None) -> None:
    """Raises ValueError unless the type asked for is None, float32 or float64."""
    if dtype not in (None, torch.float32, torch.float64):
        refuse("dtype", "torch.float32 or torch.float64", dtype)
