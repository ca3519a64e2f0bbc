"""SIMD values for numba: the compiled passes say which loops are vectors instead of hoping the compiler finds them.

A *vector* fills one register; a *panel* is four vectors side by side, so one multiply-add per panel keeps the pipeline
of a core full. Arithmetic on them is written with the usual operators. Importing this module needs numba.
"""

import math
import operator
import struct
from collections.abc import Callable
from typing import Any

import llvmlite.binding as llvm
from llvmlite import ir
from numba import types
from numba.extending import intrinsic, lower_builtin, models, register_model, type_callable

__all__ = [
    "data",
    "define",
    "exp",
    "fma",
    "has_fused_multiply_add",
    "lanes",
    "largest",
    "load_panel",
    "log",
    "number",
    "root",
    "splat",
    "store",
    "total",
    "transpose",
    "where_less",
]

_VECTORS = 4

define: Any = intrinsic  # what it makes is called without the first argument


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
    return _VECTORS * REGISTER_BYTES // itemsize, REGISTER_BYTES // itemsize


class Vector(types.Type):
    """A numba type: so many numbers of one floating type."""

    def __init__(self, dtype: Any, count: int) -> None:
        self.dtype, self.count = dtype, count
        super().__init__(name=f"vector({dtype}, {count})")


@register_model(Vector)
class _VectorModel(models.PrimitiveModel):
    def __init__(self, manager: Any, kind: Vector) -> None:
        element = ir.DoubleType() if kind.dtype is types.float64 else ir.FloatType()
        super().__init__(manager, kind, ir.VectorType(element, kind.count))


def _pointer(context: Any, builder: Any, signature: Any, args: Any, kind: Any) -> Any:
    start = builder.gep(data(context, builder, signature.args[0], args[0]), [args[1]])
    return builder.bitcast(start, kind.as_pointer())


def data(context: Any, builder: Any, kind: Any, value: Any) -> Any:
    """Where the numbers of an array are, or those that a pointer leads to."""
    return value if isinstance(kind, types.CPointer) else context.make_array(kind)(context, builder, value).data


def _loader(vectors: int) -> Any:
    @define
    def load(typing_context, array, index):
        """Consecutive numbers of a flat array, from an index on."""
        kind = Vector(array.dtype, vectors * REGISTER_BYTES * 8 // array.dtype.bitwidth)

        def code(context, builder, signature, args):
            pointer = _pointer(context, builder, signature, args, context.get_value_type(kind))
            return builder.load(pointer, align=array.dtype.bitwidth // 8)

        return kind(array, types.intp), code

    return load


load_panel = _loader(_VECTORS)


@define
def number(typing_context, array, index):
    """One number of a flat array; indices are taken as they are, never from the end."""

    def code(context, builder, signature, args):
        return builder.load(_pointer(context, builder, signature, args, context.get_value_type(array.dtype)))

    return array.dtype(array, types.intp), code


@define
def store(typing_context, array, index, value):
    """Write a vector or a panel into a flat array, from an index on."""

    def code(context, builder, signature, args):
        pointer = _pointer(context, builder, signature, args, args[2].type)
        builder.store(args[2], pointer, align=array.dtype.bitwidth // 8)
        return context.get_dummy_value()

    return types.void(array, types.intp, value), code


def _exchange(count: int, span: int) -> tuple[list[int], list[int]]:
    """Two vectors exchange blocks of so many lanes: which of their numbers, end to end, each gets."""
    moves = [bool(lane & span) for lane in range(count)]
    first = [count + lane - span if move else lane for lane, move in enumerate(moves)]
    second = [count + lane if move else lane + span for lane, move in enumerate(moves)]
    return first, second


def _transposed(builder: Any, rows: list[Any]) -> list[Any]:
    """A square of vectors, transposed by exchanging ever smaller blocks."""
    count = len(rows)
    span = count // 2
    while span:
        masks = [ir.Constant(ir.VectorType(ir.IntType(32), count), mask) for mask in _exchange(count, span)]
        for i in (i for i in range(count) if not i & span):
            pair = rows[i], rows[i + span]
            rows[i], rows[i + span] = (builder.shuffle_vector(*pair, mask) for mask in masks)
        span //= 2
    return rows


@define
def transpose(typing_context, source, start, stride, origin, first, target, at, step):
    """Move a square of numbers, a vector wide, from rows to columns, subtracting a vector from each row.

    Row i is read at start + i stride of source, less what stands at first of origin; column j is written at
    at + j step of target.
    """
    itemsize = source.dtype.bitwidth // 8
    kind = Vector(source.dtype, REGISTER_BYTES // itemsize)

    def code(context, builder, signature, args):
        pointee, count = context.get_value_type(kind), kind.count

        def place(which: int, index: Any) -> Any:
            array = context.make_array(signature.args[which])(context, builder, args[which])
            return builder.bitcast(builder.gep(array.data, [index]), pointee.as_pointer())

        def along(begin: Any, stride: Any, i: int) -> Any:
            return builder.add(begin, builder.mul(stride, ir.Constant(stride.type, i)))

        zero = builder.load(place(3, args[4]), align=itemsize)
        rows = [builder.load(place(0, along(args[1], args[2], i)), align=itemsize) for i in range(count)]
        columns = _transposed(builder, [builder.fsub(row, zero) for row in rows])
        for i, column in enumerate(columns):
            builder.store(column, place(5, along(args[6], args[7], i)), align=itemsize)
        return context.get_dummy_value()

    index = types.intp
    return types.void(source, index, index, origin, index, target, index, index), code


def _spread(builder: Any, number: Any, kind: Any) -> Any:
    first = builder.insert_element(ir.Constant(kind, ir.Undefined), number, ir.Constant(ir.IntType(32), 0))
    mask = ir.Constant(ir.VectorType(ir.IntType(32), kind.count), [0] * kind.count)
    return builder.shuffle_vector(first, ir.Constant(kind, ir.Undefined), mask)


def _nearest(number: float, bits: int) -> float:
    return number if bits == 64 else struct.unpack("f", struct.pack("f", number))[0]


def _constant(kind: Any, number: float) -> Any:
    bits = 64 if isinstance(kind.element, ir.DoubleType) else 32
    return ir.Constant(kind, [_nearest(number, bits)] * kind.count)


@define
def splat(typing_context, number, like):
    """One number in every lane of a value like another."""

    def code(context, builder, signature, args):
        number = context.cast(builder, args[0], signature.args[0], like.dtype)
        return _spread(builder, number, context.get_value_type(like))

    return like(number, like), code


def _call(builder: Any, name: str, result: Any, *args: Any, flags: tuple[str, ...] = ()) -> Any:
    kind = ir.FunctionType(result, [a.type for a in args])
    function = builder.module.globals.get(name) or ir.Function(builder.module, kind, name)
    return builder.call(function, args, fastmath=flags)


def _suffix(kind: Any) -> str:
    return f"v{kind.count}f{64 if isinstance(kind.element, ir.DoubleType) else 32}"


def _fma(builder: Any, a: Any, b: Any, c: Any) -> Any:
    return _call(builder, f"llvm.fma.{_suffix(a.type)}", a.type, a, b, c)


@define
def fma(typing_context, a, b, c):
    """a b + c, rounded once; a may be a number."""

    def code(context, builder, signature, args):
        first, second, third = args
        if not isinstance(a, Vector):
            first = _spread(builder, context.cast(builder, first, a, b.dtype), second.type)
        return _fma(builder, first, second, third)

    return b(a, b, c), code


def _elementwise(emit: Callable[[Any, Any, Any], Any]) -> Any:
    @define
    def apply(typing_context, a, b):
        def code(context, builder, signature, args):
            return emit(builder, *args)

        return a(a, b), code

    return apply


def _bind(symbol: Any, name: str) -> None:
    @type_callable(symbol)
    def _(context):
        return lambda a, b: a if isinstance(a, Vector) and isinstance(b, Vector) else None

    @lower_builtin(symbol, Vector, Vector)
    def _(context, builder, signature, args):
        return getattr(builder, name)(*args)


for _symbol, _name in (
    (operator.add, "fadd"),
    (operator.sub, "fsub"),
    (operator.mul, "fmul"),
    (operator.truediv, "fdiv"),
):
    _bind(_symbol, _name)


@define
def where_less(typing_context, a, b, first, second):
    """The lanes of the third value where those of a are less than those of b, of the fourth elsewhere."""

    def code(context, builder, signature, args):
        return builder.select(builder.fcmp_ordered("<", args[0], args[1]), args[2], args[3])

    return first(a, b, first, second), code


largest = _elementwise(lambda builder, a, b: builder.select(builder.fcmp_ordered(">", a, b), a, b))


@define
def root(typing_context, a):
    """Square root."""

    def code(context, builder, signature, args):
        kind = args[0].type
        return _call(builder, f"llvm.sqrt.{_suffix(kind)}", kind, args[0])

    return a(a), code


@define
def total(typing_context, a):
    """Sum of the lanes, pairwise."""

    def code(context, builder, signature, args):
        kind = args[0].type
        name = f"llvm.vector.reduce.fadd.{_suffix(kind)}"
        return _call(builder, name, kind.element, ir.Constant(kind.element, -0.0), args[0], flags=("reassoc",))

    return a.dtype(a), code


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
        value = _fma(builder, value, variable, _constant(variable.type, coefficient))
    return value


@define
def exp(typing_context, a):
    r"""Exponential of numbers not above zero; below the least normal number it is zero.

    :math:`e^x = 2^k e^r` with :math:`k` the integer nearest to :math:`x / \log 2`: adding a large constant leaves
    :math:`k` in the low bits, where it can be added to the exponent of Taylor's polynomial for :math:`e^r`.
    """

    def code(context, builder, signature, args):
        (x,) = args
        kind, layout = x.type, _Layout(x.type)
        magic = _constant(kind, layout.magic)
        shifted = _fma(builder, x, _constant(kind, 1 / math.log(2)), magic)
        whole = builder.fsub(shifted, magic)
        rest = _fma(builder, whole, _constant(kind, -layout.high), x)
        rest = _fma(builder, whole, _constant(kind, -layout.low), rest)
        value = _polynomial(builder, rest, [1 / math.factorial(i) for i in range(layout.degree, -1, -1)])
        exponent = builder.shl(builder.bitcast(shifted, layout.integers), layout.places())
        scaled = builder.bitcast(builder.add(builder.bitcast(value, layout.integers), exponent), kind)
        tiny = builder.fcmp_unordered("<", x, _constant(kind, layout.floor))
        return builder.select(tiny, _constant(kind, 0.0), scaled)

    return a(a), code


@define
def log(typing_context, a):
    r"""Logarithm of normal positive numbers.

    With :math:`x = 2^k m` and :math:`t = (m - 1) / (m + 1)`, :math:`\log x = k \log 2 + 2 (t + t^3/3 + t^5/5 + \dots)`.
    """

    def code(context, builder, signature, args):
        (x,) = args
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
        rest = _fma(builder, t, series, builder.fmul(whole, _constant(kind, layout.low)))
        return _fma(builder, whole, _constant(kind, layout.high), rest)

    return a(a), code
