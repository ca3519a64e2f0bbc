"""Operators of Python on numbers and on the lanes of vectors, as LLVM code.

Whole numbers are taken not to overflow. Division of whole numbers rounds down, as Python's does.
"""

from __future__ import annotations

import ast
from collections.abc import Callable
from typing import Any

from llvmlite import ir

from .values import INT, REAL, TRUTH, converted

__all__ = ["ARITHMETIC", "COMPARED", "magnitude", "negative"]

_EXACT = ("nsw",)
_COUNTED = (INT, TRUTH)


def _alike(builder: Any, left: Any, right: Any) -> tuple[Any, Any]:
    """Both as numbers, or as the vectors that they are."""
    if left.type == right.type and left.type != INT:
        return left, right
    return converted(builder, left, REAL), converted(builder, right, REAL)


def _operator(whole: str, number: str) -> Callable[..., Any]:
    def write(builder: Any, left: Any, right: Any) -> Any:
        if left.type in _COUNTED and right.type in _COUNTED:
            left, right = converted(builder, left, INT), converted(builder, right, INT)
            return vars(type(builder))[whole](builder, left, right, flags=_EXACT)
        return vars(type(builder))[number](builder, *_alike(builder, left, right))

    return write


def _divided(builder: Any, left: Any, right: Any) -> Any:
    return builder.fdiv(*_alike(builder, left, right))


def _rounded_down(builder: Any, left: Any, right: Any) -> tuple[Any, Any]:
    """Quotient and remainder of whole numbers; the remainder has the sign of the divisor."""
    quotient, rest = builder.sdiv(left, right), builder.srem(left, right)
    other = builder.icmp_signed("<", builder.xor(rest, right), INT(0))
    above = builder.and_(builder.icmp_signed("!=", rest, INT(0)), other)
    lower, higher = builder.sub(quotient, INT(1)), builder.add(rest, right)
    return builder.select(above, lower, quotient), builder.select(above, higher, rest)


def _squared(builder: Any, value: Any, power: Any) -> Any:
    if power.constant != 2:
        raise TypeError("no machine code for powers beside squares")
    return ARITHMETIC[ast.Mult](builder, value, value)


ARITHMETIC: dict[type[ast.operator], Callable[..., Any]] = {
    ast.Add: _operator("add", "fadd"),
    ast.Sub: _operator("sub", "fsub"),
    ast.Mult: _operator("mul", "fmul"),
    ast.Div: _divided,
    ast.FloorDiv: lambda builder, left, right: _rounded_down(builder, left, right)[0],
    ast.Mod: lambda builder, left, right: _rounded_down(builder, left, right)[1],
    ast.Pow: _squared,
}


def _comparison(sign: str) -> Callable[..., Any]:
    def write(builder: Any, left: Any, right: Any) -> Any:
        if left.type == INT and right.type == INT:
            return builder.icmp_signed(sign, left, right)
        left, right = _alike(builder, left, right)
        return (builder.fcmp_unordered if sign == "!=" else builder.fcmp_ordered)(sign, left, right)

    return write


COMPARED: dict[type[ast.cmpop], Callable[..., Any]] = {
    ast.Lt: _comparison("<"),
    ast.LtE: _comparison("<="),
    ast.Gt: _comparison(">"),
    ast.GtE: _comparison(">="),
    ast.Eq: _comparison("=="),
    ast.NotEq: _comparison("!="),
}


def negative(builder: Any, value: Any) -> Any:
    """Minus a number."""
    if type(value) is ir.Constant:
        return ir.Constant(value.type, -value.constant)
    return builder.neg(value) if value.type == INT else builder.fneg(value)


def magnitude(builder: Any, value: Any) -> Any:
    """The size of a number."""
    if value.type == INT:
        return builder.select(builder.icmp_signed("<", value, INT(0)), builder.neg(value), value)
    return builder.call(builder.module.declare_intrinsic("llvm.fabs", [REAL]), [value])
