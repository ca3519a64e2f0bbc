"""Which lanes of SIMD values answer a question: a bit for each, of 64 at most, and how to go through them."""

from typing import Any

from llvmlite import ir
from numba import types

from .vector import define

__all__ = ["differing", "exceeding", "how_many", "trailing", "uncertain"]


def _lanes_where(condition: str) -> Any:
    @define
    def test(typing_context, a, b):
        def code(context, builder, signature, args):
            bits = builder.bitcast(builder.fcmp_unordered(condition, *args), ir.IntType(args[0].type.count))
            return builder.zext(bits, ir.IntType(64))

        return types.uint64(a, b), code

    return test


differing = _lanes_where("!=")  # a bit for each lane that differs, of 64 at most
exceeding = _lanes_where(">")  # a bit for each lane of the first that is above the second's, or NaN
uncertain = _lanes_where("<=")  # a bit for each lane of the first that is not above the second's, NaN among them


@define
def trailing(typing_context, bits):
    """The number of the lowest bit that is set."""

    def code(context, builder, signature, args):
        return builder.cttz(args[0], ir.Constant(ir.IntType(1), 1))

    return types.intp(types.uint64), code


@define
def how_many(typing_context, bits):
    """How many bits are set."""
    return types.intp(types.uint64), lambda context, builder, signature, args: builder.ctpop(args[0])
