"""Rows of a NumPy array that stays where it is: a memory-mapped file, converted one block at a time."""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np
import torch
from torch import Tensor

from mixtura.data.blocks import Block, Rows, check_names, check_shape
from mixtura.data.dtypes import floating
from mixtura.data.names import first_text
from mixtura.data.weights import check_weight

__all__ = ["ArrayRows", "check_numeric", "to_tensor", "torch_dtype"]


class ArrayRows(Rows):
    """Rows of an array (N,) or (N, D) too large to copy; every block is a fresh tensor, so a read-only map is
    safe.

    `dtype` is float32 for float32 and half-precision arrays and float64 otherwise, unless given; `device` is
    the CPU unless given. Raises TypeError for an array that does not hold real numbers, ValueError for a
    wrong shape, names or weights.

    Example:
        >>> rows = ArrayRows(np.arange(6).reshape(3, 2))
        >>> [block.x.tolist() for block in rows.blocks(2)]
        [[[0.0, 1.0], [2.0, 3.0]], [[4.0, 5.0]]]
    """

    def __init__(
        self,
        array: np.ndarray,
        weight: Tensor | None = None,
        columns: tuple[str, ...] | None = None,
        dtype: torch.dtype | None = None,
        device: torch.device | str | None = None,
    ) -> None:
        check_numeric(array)
        check_shape(array.shape)
        check_names(columns, array.shape[1:])
        self._array = array
        self.columns = columns
        self.event_shape = torch.Size(array.shape[1:])
        self.dtype = dtype or floating(torch_dtype(array.dtype))
        self.device = torch.device(device or "cpu")
        self._weight = None if weight is None else check_weight(weight, len(array)).to(self.device, self.dtype)

    def __len__(self) -> int:
        return len(self._array)

    @property
    def weight(self) -> Tensor | None:
        return self._weight

    def _blocks(self, size: int) -> Iterator[Block]:
        for start in range(0, len(self._array), size):
            part = slice(start, start + size)
            yield Block(self._tensor(self._array[part]), None if self._weight is None else self._weight[part])

    def _tensor(self, part: np.ndarray) -> Tensor:
        return torch.from_numpy(np.array(part, dtype=_NUMPY[self.dtype], order="C")).to(self.device)


_NUMPY = {torch.float32: np.float32, torch.float64: np.float64}


def check_numeric(array: np.ndarray) -> None:
    """Raises TypeError unless the array holds real numbers or truth values."""
    if array.dtype.kind not in "biuf":
        example = first_text(array.flat)
        raise TypeError(
            f"`x` must be an array of numbers; got {array.dtype}, for example {example!r}."
            " Leave such columns out, or pass a table and choose with columns=."
        )


def torch_dtype(dtype: np.dtype) -> torch.dtype:
    """float16 and float32 as they are; everything else is worked with as float64."""
    return {"f2": torch.float16, "f4": torch.float32}.get(dtype.str[1:], torch.float64)


def to_tensor(array: np.ndarray) -> Tensor:
    """An array of numbers as a tensor of the same memory where torch can use it, and otherwise a converted
    copy."""
    dtype = np.dtype(_NUMPY[floating(torch_dtype(array.dtype))])
    usable = array.dtype == dtype and array.flags.writeable and all(stride >= 0 for stride in array.strides)
    return torch.from_numpy(array if usable else np.array(array, dtype=dtype))
