"""Numbers, truths, pointers and tuples as LLVM knows them, and what makes one of another."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from llvmlite import ir

__all__ = [
    "INT",
    "NUMBERS",
    "REAL",
    "TRUTH",
    "VOID",
    "WHOLE",
    "Record",
    "constant",
    "converted",
    "joined",
    "larger_kind",
    "truth",
]

INT, REAL, TRUTH, VOID = ir.IntType(64), ir.DoubleType(), ir.IntType(1), ir.VoidType()
NUMBERS, WHOLE = REAL.as_pointer(), INT.as_pointer()


class Record(ir.LiteralStructType):
    """A named tuple: a structure whose parts have names."""

    def __init__(self, fields: Sequence[str], parts: Sequence[Any]) -> None:
        super().__init__(parts)
        self.fields = tuple(fields)


def constant(value: Any) -> Any:
    """A truth or a number of Python's."""
    if not isinstance(value, int | float):
        raise TypeError(f"no machine code for {value!r}")
    kind = {bool: TRUTH, float: REAL}.get(type(value), INT)
    return kind(float(value) if kind is REAL else int(value))


def larger_kind(first: Any, second: Any) -> Any:
    """The kind that holds values of both: a whole number is a number, too."""
    return REAL if {first, second} == {INT, REAL} else first


def converted(builder: Any, value: Any, kind: Any) -> Any:
    """A value as one of another kind."""
    if value.type == kind:
        return value
    if value.type == TRUTH and kind in (INT, REAL):
        value = builder.zext(value, INT)
    if value.type == INT and kind == REAL:
        return REAL(float(value.constant)) if type(value) is ir.Constant else builder.sitofp(value, REAL)
    if type(kind) is ir.LiteralStructType and type(value.type) is ir.LiteralStructType:
        parts = [builder.extract_value(value, i) for i in range(len(kind.elements))]
        return joined(builder, [converted(builder, *each) for each in zip(parts, kind.elements, strict=True)], kind)
    if value.type != kind:
        raise TypeError(f"{value.type} is no {kind}")
    return value


def joined(builder: Any, parts: Sequence[Any], kind: Any = None) -> Any:
    """Values side by side."""
    whole = ir.Constant(kind or ir.LiteralStructType([part.type for part in parts]), ir.Undefined)
    for i, part in enumerate(parts):
        whole = builder.insert_value(whole, part, i)
    return whole


def truth(builder: Any, value: Any) -> Any:
    """Whether a value is true: a number is where it is not zero."""
    if value.type == TRUTH:
        return value
    if value.type == INT:
        return builder.icmp_signed("!=", value, INT(0))
    return builder.fcmp_unordered("!=", converted(builder, value, REAL), REAL(0.0))
