"""Between memory and SIMD values: in float64 whatever the rows are in, and lines asked for before they are needed."""

from llvmlite import ir
from numba import types

from .vector import REGISTER_BYTES, Vector, address, data, define

__all__ = ["EXACT", "fetch", "load_exact", "store_rounded"]

EXACT = REGISTER_BYTES // 8
"""Numbers of a vector of float64."""


@define
def load_exact(typing_context, array, index):
    """Consecutive numbers of a flat array as a vector of float64, from an index on."""
    kind = Vector(types.float64, EXACT)

    def code(context, builder, signature, args):
        source = ir.VectorType(context.get_value_type(array.dtype), kind.count)
        loaded = builder.load(address(context, builder, signature, args, source), align=array.dtype.bitwidth // 8)
        return loaded if array.dtype is types.float64 else builder.fpext(loaded, context.get_value_type(kind))

    return kind(array, types.intp), code


@define
def store_rounded(typing_context, array, index, value):
    """Write a vector of float64 into a flat array, from an index on, in the array's type."""

    def code(context, builder, signature, args):
        kind = ir.VectorType(context.get_value_type(array.dtype), value.count)
        rounded = args[2] if array.dtype is types.float64 else builder.fptrunc(args[2], kind)
        builder.store(rounded, address(context, builder, signature, args, kind), align=array.dtype.bitwidth // 8)
        return context.get_dummy_value()

    return types.void(array, types.intp, value), code


@define
def fetch(typing_context, array, index):
    """Ask for the line of the cache in which a number of a flat array is, which may lie beyond the end."""

    def code(context, builder, signature, args):
        byte, word = ir.IntType(8).as_pointer(), ir.IntType(32)
        place = builder.bitcast(builder.gep(data(context, builder, array, args[0]), [args[1]]), byte)
        hints = [ir.Constant(word, hint) for hint in (0, 2, 1)]  # to read, into the second cache, data
        kind = ir.FunctionType(ir.VoidType(), [byte, word, word, word])
        name = "llvm.prefetch.p0i8"
        function = builder.module.globals.get(name) or ir.Function(builder.module, kind, name)
        builder.call(function, [place, *hints])
        return context.get_dummy_value()

    return types.void(array, types.intp), code
