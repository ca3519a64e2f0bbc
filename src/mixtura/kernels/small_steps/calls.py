"""Compiled steps that the driver calls by their address, so that each compiles once, alone, and only where it is used.

What machine code calls becomes part of it. An address is a number. Arrays are passed as pointers to their first number.
"""

from ctypes import addressof, c_char
from typing import Any

import numpy as np
from llvmlite import ir
from numpy.typing import NDArray

from ..native.panels import calling
from ..native.values import INT, NUMBERS, REAL, WHOLE

__all__ = ["COVARIANCES", "EXPECT", "MATCH", "Array", "covariances_at", "expect_at", "match_at", "pointers", "zeros"]

Array = NDArray[Any]

EXPECT = ir.FunctionType(
    REAL, [NUMBERS, NUMBERS, INT, INT, NUMBERS, WHOLE, NUMBERS, NUMBERS, NUMBERS, NUMBERS, NUMBERS]
)
MATCH = ir.FunctionType(INT, [INT, NUMBERS, NUMBERS, NUMBERS, WHOLE, NUMBERS, NUMBERS, NUMBERS])
COVARIANCES = ir.FunctionType(INT, [INT, NUMBERS, NUMBERS, NUMBERS, INT, INT, INT, NUMBERS])

expect_at = calling(EXPECT)
"""The E-step at an address; see `driver`."""

match_at = calling(MATCH)
"""The M-step at an address, or what makes a state that begins ready to be read; see `driver`."""

covariances_at = calling(COVARIANCES)
"""The covariances at an address; see `covariances`."""


_LINE = 8  # numbers in a line of the cache
_KINDS = np.dtype(np.float64), np.dtype(np.int64)


def pointers(*arrays: Array) -> list[int]:
    """Where arrays are, which lie in memory row by row, and stay alive with the caller."""
    if not all(array.flags.c_contiguous and array.dtype in _KINDS for array in arrays):
        raise TypeError("compiled loops read whole arrays of float64 and int64")
    return [_place(array) for array in arrays]


def zeros(count: int) -> Array:
    """So many zeros, that begin where a line of the processor's cache does: a vector is read in one go."""
    room = np.zeros(count + _LINE)
    return room[(-_place(room) // 8) % _LINE :][:count]


def _place(array: Any) -> int:
    """Where an array begins: by its buffer, four times as fast as by numpy, which knows it of all others, too."""
    return addressof(c_char.from_buffer(array)) if array.flags.writeable and array.size else array.ctypes.data
