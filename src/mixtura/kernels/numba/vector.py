"""SIMD values for numba: the compiled passes say which loops are vectors instead of hoping the compiler finds them.

A *vector* fills one register; a *panel* is four vectors side by side, so one multiply-add per panel keeps the pipeline
of a core full. Arithmetic on them is written with the usual operators. Importing this module needs numba.
"""

import operator
from collections.abc import Callable
from typing import Any

from llvmlite import ir
from numba import types
from numba.extending import intrinsic, lower_builtin, models, register_model, type_callable

from ..native import lanes as native
from ..native.lanes import REGISTER_BYTES, VECTORS, has_fused_multiply_add, lanes

__all__ = [
    "REGISTER_BYTES",
    "Vector",
    "address",
    "data",
    "define",
    "exp",
    "fma",
    "has_fused_multiply_add",
    "lanes",
    "largest",
    "load_panel",
    "load_some",
    "log",
    "number",
    "root",
    "splat",
    "store",
    "store_some",
    "total",
    "transpose",
    "where_less",
]

define: Any = intrinsic  # what it makes is called without the first argument


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


def address(context: Any, builder: Any, signature: Any, args: Any, kind: Any) -> Any:
    """Where a value of a kind begins in a flat array: its first two arguments are the array and an index."""
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
            pointer = address(context, builder, signature, args, context.get_value_type(kind))
            return builder.load(pointer, align=array.dtype.bitwidth // 8)

        return kind(array, types.intp), code

    return load


load_panel = _loader(VECTORS)


@define
def number(typing_context, array, index):
    """One number of a flat array; indices are taken as they are, never from the end."""

    def code(context, builder, signature, args):
        return builder.load(address(context, builder, signature, args, context.get_value_type(array.dtype)))

    return array.dtype(array, types.intp), code


@define
def store(typing_context, array, index, value):
    """Write a vector or a panel into a flat array, from an index on."""

    def code(context, builder, signature, args):
        pointer = address(context, builder, signature, args, args[2].type)
        builder.store(args[2], pointer, align=array.dtype.bitwidth // 8)
        return context.get_dummy_value()

    return types.void(array, types.intp, value), code


def _first(builder: Any, count: Any, kind: Any) -> Any:
    """The lanes before a count."""
    place = ir.VectorType(ir.IntType(64), kind.count)
    return builder.icmp_signed("<", ir.Constant(place, list(range(kind.count))), native.spread(builder, count, place))


@define
def load_some(typing_context, array, index, count, other):
    """A vector of the numbers of a flat array from an index on, as many as are counted; another number in all else."""
    kind = Vector(array.dtype, REGISTER_BYTES * 8 // array.dtype.bitwidth)

    def code(context, builder, signature, args):
        vector = context.get_value_type(kind)
        pointer = address(context, builder, signature, args, vector)
        rest = native.spread(builder, context.cast(builder, args[3], other, array.dtype), vector)
        return native.masked_load(builder, pointer, _first(builder, args[2], vector), rest)

    return kind(array, types.intp, types.intp, other), code


@define
def store_some(typing_context, array, index, value, count):
    """Write the first lanes of a vector into a flat array, from an index on: as many as are counted."""

    def code(context, builder, signature, args):
        pointer = address(context, builder, signature, args, args[2].type)
        native.masked_store(builder, args[2], pointer, _first(builder, args[3], args[2].type))
        return context.get_dummy_value()

    return types.void(array, types.intp, value, types.intp), code


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


@define
def splat(typing_context, number, like):
    """One number in every lane of a value like another."""

    def code(context, builder, signature, args):
        number = context.cast(builder, args[0], signature.args[0], like.dtype)
        return native.spread(builder, number, context.get_value_type(like))

    return like(number, like), code


@define
def fma(typing_context, a, b, c):
    """a b + c, rounded once; a may be a number."""

    def code(context, builder, signature, args):
        first, second, third = args
        if not isinstance(a, Vector):
            first = native.spread(builder, context.cast(builder, first, a, b.dtype), second.type)
        return native.fma(builder, first, second, third)

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


largest = _elementwise(native.largest)


@define
def total(typing_context, a):
    """Sum of the lanes, pairwise."""
    return a.dtype(a), lambda context, builder, signature, args: native.total(builder, *args)


def _lanewise(write: Callable[[Any, Any], Any]) -> Any:
    @define
    def apply(typing_context, a):
        return a(a), lambda context, builder, signature, args: write(builder, *args)

    return apply


root, exp, log = _lanewise(native.root), _lanewise(native.exp), _lanewise(native.log)
