"""Vectors of numbers, lane by lane, as LLVM code; numba's loops and ours are written with them.

A *vector* fills one register of this machine; a *panel* is four vectors side by side, so one multiply-add per panel
keeps the pipeline of a core full.
"""

from __future__ import annotations

import math
import struct
from typing import Any

import llvmlite.binding as llvm
from llvmlite import ir

__all__ = [
    "REGISTER_BYTES",
    "VECTORS",
    "exp",
    "fma",
    "has_fused_multiply_add",
    "intrinsic",
    "lanes",
    "largest",
    "log",
    "masked_load",
    "masked_store",
    "quarters",
    "root",
    "spread",
    "total",
]

VECTORS = 4


def _features() -> dict[str, bool]:
    return dict(llvm.get_host_cpu_features())


def _register_bytes() -> int:
    return 64 if _features().get("avx512f") else 32 if _features().get("avx2") else 16


REGISTER_BYTES = _register_bytes()


def has_fused_multiply_add() -> bool:
    """Whether a multiply-add is one instruction here; elsewhere the compiled passes would crawl."""
    return _features().get("fma", False) or _features().get("neon", False)


def lanes(itemsize: int) -> tuple[int, int]:
    """Rows in a panel, and in a vector, of numbers of this size."""
    return VECTORS * REGISTER_BYTES // itemsize, REGISTER_BYTES // itemsize


def spread(builder: Any, number: Any, kind: Any) -> Any:
    """One number in every lane."""
    first = builder.insert_element(ir.Constant(kind, ir.Undefined), number, ir.Constant(ir.IntType(32), 0))
    mask = ir.Constant(ir.VectorType(ir.IntType(32), kind.count), [0] * kind.count)
    return builder.shuffle_vector(first, ir.Constant(kind, ir.Undefined), mask)


def _nearest(number: float, bits: int) -> float:
    return number if bits == 64 else struct.unpack("f", struct.pack("f", number))[0]


def _constant(kind: Any, number: float) -> Any:
    bits = 64 if isinstance(kind.element, ir.DoubleType) else 32
    return ir.Constant(kind, [_nearest(number, bits)] * kind.count)


def largest(builder: Any, a: Any, b: Any) -> Any:
    """The larger of two numbers in each lane."""
    return builder.select(builder.fcmp_ordered(">", a, b), a, b)


def intrinsic(builder: Any, name: str, result: Any, *args: Any, flags: tuple[str, ...] = ()) -> Any:
    """Calls a function of LLVM's own."""
    kind = ir.FunctionType(result, [a.type for a in args])
    function = builder.module.globals.get(name) or ir.Function(builder.module, kind, name)
    return builder.call(function, args, fastmath=flags)


def _suffix(kind: Any) -> str:
    return f"v{kind.count}f{64 if isinstance(kind.element, ir.DoubleType) else 32}"


def fma(builder: Any, a: Any, b: Any, c: Any) -> Any:
    """a b + c, rounded once."""
    return intrinsic(builder, f"llvm.fma.{_suffix(a.type)}", a.type, a, b, c)


def _aligned(kind: Any) -> Any:
    """As numbers of an array are, in bytes."""
    return ir.Constant(ir.IntType(32), 8 if isinstance(kind.element, ir.DoubleType) else 4)


def masked_load(builder: Any, pointer: Any, mask: Any, other: Any) -> Any:
    """The numbers at a pointer where the mask says so, others elsewhere; of the rest nothing is read."""
    name, kind = f"llvm.masked.load.{_suffix(other.type)}.p0", other.type
    return intrinsic(builder, name, kind, pointer, _aligned(kind), mask, other)


def masked_store(builder: Any, value: Any, pointer: Any, mask: Any) -> None:
    """Writes numbers to a pointer where the mask says so."""
    name, kind = f"llvm.masked.store.{_suffix(value.type)}.p0", value.type
    intrinsic(builder, name, ir.VoidType(), value, pointer, _aligned(kind), mask)


def quarters(builder: Any, a: Any) -> list[Any]:
    """The vectors of a panel, one by one."""
    count = a.type.count // VECTORS
    masks = ([ir.IntType(32)(v * count + i) for i in range(count)] for v in range(VECTORS))
    kind = ir.VectorType(ir.IntType(32), count)
    return [builder.shuffle_vector(a, ir.Constant(a.type, ir.Undefined), ir.Constant(kind, mask)) for mask in masks]


def root(builder: Any, a: Any) -> Any:
    """Square root."""
    return intrinsic(builder, f"llvm.sqrt.{_suffix(a.type)}", a.type, a)


def total(builder: Any, a: Any) -> Any:
    """Sum of the lanes, pairwise."""
    number, name = a.type.element, f"llvm.vector.reduce.fadd.{_suffix(a.type)}"
    return intrinsic(builder, name, number, ir.Constant(number, -0.0), a, flags=("reassoc",))


_LOG2_PARTS = {  # the nearest number to log 2, and what it leaves out
    64: (0.6931471805599453, 2.3190468138462996e-17),
    32: (0.693147182464599609375, -1.904654299957768e-09),
}


class _Layout:
    """The layout of a floating type, for arithmetic on its bits."""

    def __init__(self, kind: Any) -> None:
        double = isinstance(kind.element, ir.DoubleType)
        self.bits, self.fraction = (64, 52) if double else (32, 23)
        self.floor, self.degree, self.terms = (-708.0, 13, 11) if double else (-87.0, 7, 6)
        self.high, self.low = _LOG2_PARTS[self.bits]
        self.integers = ir.VectorType(ir.IntType(self.bits), kind.count)
        self.magic = 1.5 * 2.0**self.fraction  # added to a small number, it leaves the nearest integer in the low bits

    def places(self) -> Any:
        """How far the exponent stands from the low bits."""
        return ir.Constant(self.integers, [self.fraction] * self.integers.count)


def _polynomial(builder: Any, variable: Any, coefficients: list[float]) -> Any:
    """Horner's rule, highest power first."""
    value = _constant(variable.type, coefficients[0])
    for coefficient in coefficients[1:]:
        value = fma(builder, value, variable, _constant(variable.type, coefficient))
    return value


def exp(builder: Any, x: Any) -> Any:
    r"""Exponential of numbers not above zero; below the least normal number it is zero.

    :math:`e^x = 2^k e^r` with :math:`k` the integer nearest to :math:`x / \log 2`: adding a large constant leaves
    :math:`k` in the low bits, where it can be added to the exponent of Taylor's polynomial for :math:`e^r`.
    """
    kind, layout = x.type, _Layout(x.type)
    magic = _constant(kind, layout.magic)
    shifted = fma(builder, x, _constant(kind, 1 / math.log(2)), magic)
    whole = builder.fsub(shifted, magic)
    rest = fma(builder, whole, _constant(kind, -layout.high), x)
    rest = fma(builder, whole, _constant(kind, -layout.low), rest)
    value = _polynomial(builder, rest, [1 / math.factorial(i) for i in range(layout.degree, -1, -1)])
    exponent = builder.shl(builder.bitcast(shifted, layout.integers), layout.places())
    scaled = builder.bitcast(builder.add(builder.bitcast(value, layout.integers), exponent), kind)
    tiny = builder.fcmp_unordered("<", x, _constant(kind, layout.floor))
    return builder.select(tiny, _constant(kind, 0.0), scaled)


def log(builder: Any, x: Any) -> Any:
    r"""Logarithm of normal positive numbers.

    With :math:`x = 2^k m` and :math:`t = (m - 1) / (m + 1)`, :math:`\log x = k \log 2 + 2 (t + t^3/3 + t^5/5 + \dots)`.
    """
    kind, layout = x.type, _Layout(x.type)
    one, magic = _constant(kind, 1.0), _constant(kind, layout.magic)
    bits = builder.bitcast(x, layout.integers)
    least = builder.bitcast(_constant(kind, math.sqrt(0.5)), layout.integers)
    exponent = builder.ashr(builder.sub(bits, least), layout.places())
    mantissa = builder.bitcast(builder.sub(bits, builder.shl(exponent, layout.places())), kind)
    whole = builder.bitcast(builder.add(exponent, builder.bitcast(magic, layout.integers)), kind)
    whole = builder.fsub(whole, magic)
    t = builder.fdiv(builder.fsub(mantissa, one), builder.fadd(mantissa, one))
    square = builder.fmul(t, t)
    series = _polynomial(builder, square, [2 / (2 * i + 1) for i in range(layout.terms - 1, -1, -1)])
    rest = fma(builder, t, series, builder.fmul(whole, _constant(kind, layout.low)))
    return fma(builder, whole, _constant(kind, layout.high), rest)
