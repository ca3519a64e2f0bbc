"""What machine code knows by name beside our own functions: a few of Python's and of the module `math`."""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import Any

from llvmlite import ir

from .arithmetic import magnitude
from .values import INT, REAL, converted

__all__ = ["NAMED", "named"]

NAMED: dict[Any, Callable[..., Any]] = {}
"""What writes the code of a call: given a builder and values."""


def named(write: Callable[..., Any]) -> Any:
    """What machine code calls by the name of a function that writes it; Python cannot call it."""
    NAMED[write] = write
    return write


def _of_numbers(symbol: str) -> Callable[..., Any]:
    """A function of the C library or of LLVM's own."""

    def write(builder: Any, *values: Any) -> Any:
        kind = ir.FunctionType(REAL, [REAL] * len(values))
        function = builder.module.globals.get(symbol) or ir.Function(builder.module, kind, symbol)
        return builder.call(function, [converted(builder, value, REAL) for value in values])

    return write


def _finite(builder: Any, value: Any) -> Any:
    return builder.fcmp_ordered("<", magnitude(builder, value), REAL(math.inf))


NAMED |= {
    abs: magnitude,
    float: lambda builder, value: converted(builder, value, REAL),
    int: lambda builder, value: value if value.type == INT else builder.fptosi(value, INT),
    math.isfinite: _finite,
    math.sqrt: _of_numbers("llvm.sqrt.f64"),
    math.exp: _of_numbers("exp"),
    math.log: _of_numbers("log"),
    math.log1p: _of_numbers("log1p"),
    math.lgamma: _of_numbers("lgamma"),
    math.sin: _of_numbers("sin"),
    math.cos: _of_numbers("cos"),
    math.atan2: _of_numbers("atan2"),
}
