"""Compiled steps that the driver calls by their address, so that each compiles once, alone, and only where it is used.

What machine code calls becomes part of it. An address is a number. Arrays are passed as pointers to their first number.
"""

from typing import Any

import numpy as np
from llvmlite import ir
from numpy.typing import NDArray

from ..native.panels import calling
from ..native.values import INT, NUMBERS, REAL, WHOLE

__all__ = ["COVARIANCES", "EXPECT", "MATCH", "Array", "covariances_at", "expect_at", "match_at", "pointers"]

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


def pointers(*arrays: Array) -> list[int]:
    """Where arrays are, which lie in memory row by row, and stay alive with the caller."""
    if not all(array.flags.c_contiguous and array.dtype in (np.float64, np.int64) for array in arrays):
        raise TypeError("compiled loops read whole arrays of float64 and int64")
    return [array.ctypes.data for array in arrays]
