"""Compiled steps that the driver calls by their address, so that each compiles once, alone, and only where it is used.

What a numba function calls becomes part of it: its callers optimise it again, and theirs. An address is a number.
Arrays are passed as pointers to their first number.
"""

import ctypes
from collections.abc import Callable
from functools import cache
from typing import Any

import numpy as np
from llvmlite import ir
from numba import cfunc, njit, types
from numpy.typing import NDArray

from ..vector import data, define

__all__ = [
    "COVARIANCES",
    "EXPECT",
    "MATCH",
    "Array",
    "address",
    "beyond",
    "called",
    "covariances_at",
    "expect_at",
    "match_at",
    "pointers",
]

Array = NDArray[Any]

_NUMBERS, _WHOLE, _INTEGER = types.CPointer(types.float64), types.CPointer(types.int64), types.int64

EXPECT = types.float64(
    _NUMBERS, _NUMBERS, _INTEGER, _INTEGER, _NUMBERS, _WHOLE, _NUMBERS, _NUMBERS, _NUMBERS, _NUMBERS, _NUMBERS
)
MATCH = _INTEGER(_INTEGER, _NUMBERS, _NUMBERS, _NUMBERS, _WHOLE, _NUMBERS, _NUMBERS, _NUMBERS)
COVARIANCES = _INTEGER(_INTEGER, _NUMBERS, _NUMBERS, _NUMBERS, _INTEGER, _INTEGER, _INTEGER, _NUMBERS)


@njit(cache=True)
def _kept():
    """Never called: numba refuses it, and with it all of these steps, where it has nowhere to keep what it compiles."""


@cache
def _compiled(function: Callable[..., Any], signature: Any) -> Any:
    return cfunc(signature, error_model="numpy", cache=True)(function)


def address(function: Any, signature: Any) -> int:
    """Where a numba function is, compiled for pointers at its first use."""
    return _compiled(function.py_func, signature).address


@cache
def called(function: Any, signature: Any) -> Callable[..., Any]:
    """A numba function for Python, which gives it pointers as numbers; other threads go on meanwhile."""
    kinds = [ctypes.c_int64 if isinstance(kind, types.Integer) else ctypes.c_void_p for kind in signature.args]
    returned = ctypes.c_int64 if isinstance(signature.return_type, types.Integer) else None
    return ctypes.CFUNCTYPE(returned, *kinds)(address(function, signature))


def pointers(*arrays: Array) -> list[int]:
    """Where arrays are, which lie in memory row by row, and stay alive with the caller."""
    if not all(array.flags.c_contiguous and array.dtype in (np.float64, np.int64) for array in arrays):
        raise TypeError("compiled loops read whole arrays of float64 and int64")
    return [array.ctypes.data for array in arrays]


@define
def beyond(typing_context, numbers, index):
    """A pointer to the numbers from an index on."""

    def code(context, builder, signature, args):
        return builder.gep(args[0], [args[1]])

    return numbers(numbers, types.intp), code


def _call(context: Any, builder: Any, signature: Any, args: Any) -> Any:
    """Code that calls what is at the first argument with the others."""
    given = zip(signature.args[1:], args[1:], strict=True)
    passed = [a if isinstance(kind, types.Integer) else data(context, builder, kind, a) for kind, a in given]
    returned = context.get_value_type(signature.return_type)
    kind = ir.FunctionType(returned, [a.type for a in passed])
    return builder.call(builder.inttoptr(args[0], kind.as_pointer()), passed)


@define
def expect_at(typing_context, at, columns, weight, begin, end, state, shape, lanes, joint, spare, sums, plain):
    """The E-step at an address; see `driver`."""
    given = columns, weight, _INTEGER, _INTEGER, state, shape, lanes, joint, spare, sums, plain
    return types.float64(_INTEGER, *given), _call


@define
def match_at(typing_context, at, begins, sums, about, floor, shape, state, spare, room):
    """The M-step at an address, or what makes a state that begins ready to be read; see `driver`."""
    return _INTEGER(_INTEGER, _INTEGER, sums, about, floor, shape, state, spare, room), _call


@define
def covariances_at(typing_context, at, code, degrees, moment, previous, first, components, features, room):
    """The covariances at an address; see `covariances`."""
    whole = _INTEGER, _INTEGER, _INTEGER
    return _INTEGER(_INTEGER, _INTEGER, degrees, moment, previous, *whole, room), _call
