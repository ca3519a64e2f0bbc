"""The operations of a tape as LLVM code, on single numbers and on lanes of them.

Numbers call the C library; on lanes, exponentials and logarithms are ours, and what is rare is done lane by lane.
Products and sums may be contracted to one instruction; nothing else is reordered.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from functools import lru_cache
from typing import Any

import numpy as np
import torch
from llvmlite import ir

from ..native import lanes
from ..native.values import REAL

__all__ = ["Lanes", "Numbers"]

_FREE = ("contract", "nsz")
_WHERE = ir.IntType(32)
_LARGEST_EXPONENT = 709.0
_SMALLEST_NORMAL = 2.2250738585072014e-308
_SCALING = 54  # powers of two that make a number that is not normal a normal one
_SMALL = 0.35  # below, an exponential less one is a polynomial
_LIBRARY = ("exp", "log", "log1p", "expm1", "sin", "cos", "tan", "asin", "acos", "atan", "atan2", "sinh", "cosh",
            "tanh", "erf", "erfc", "lgamma", "pow")  # fmt: skip

Write = Callable[..., Any]


class Numbers:
    """Operations on one number at a time."""

    kind: Any = REAL
    suffix = "f64"

    def __init__(self, builder: Any) -> None:
        self.builder = builder
        self._rules = self._common() | {name: self._library(name) for name in _LIBRARY} | self._own()

    def constant(self, value: float) -> Any:
        """A number that is known."""
        return ir.Constant(REAL, value)

    def apply(self, op: str, given: Sequence[Any]) -> Any:
        """The code of an operation."""
        return self._rules[op](*given)

    def _common(self) -> dict[str, Write]:
        b = self.builder
        return {
            "add": lambda x, y: b.fadd(x, y, flags=_FREE),
            "sub": lambda x, y: b.fsub(x, y, flags=_FREE),
            "mul": lambda x, y: b.fmul(x, y, flags=_FREE),
            "div": b.fdiv,
            "neg": b.fneg,
            "lt": lambda x, y: b.fcmp_ordered("<", x, y),
            "le": lambda x, y: b.fcmp_ordered("<=", x, y),
            "eq": lambda x, y: b.fcmp_ordered("==", x, y),
            "ne": lambda x, y: b.fcmp_unordered("!=", x, y),
            "both": b.and_,
            "either": b.or_,
            "not": b.not_,
            "select": b.select,
            "stop": lambda x: x,
            "top": lambda x, y: b.select(b.fcmp_ordered(">", x, y), x, y),
            "maximum": self._extreme(">"),
            "minimum": self._extreme("<"),
            **{name: self._intrinsic(f"llvm.{known}") for name, known in _INTRINSICS.items()},
            "sign": self._sign,
            "erfcx": self._erfcx,
        }

    def _own(self) -> dict[str, Write]:
        return {
            "exp_below": self._rule("exp"),
            "sigmoid": self._sigmoid,
            "softplus": self._softplus,
            "digamma": lambda x: self.builder.call(_digamma(self.builder.module), [x]),
        }

    def _rule(self, name: str) -> Write:
        return lambda *given: self.apply(name, given)

    def _intrinsic(self, name: str) -> Write:
        return lambda x: lanes.intrinsic(self.builder, f"{name}.{self.suffix}", x.type, x)

    def _library(self, name: str) -> Write:
        def write(*given: Any) -> Any:
            kind = ir.FunctionType(REAL, [REAL] * len(given))
            found = self.builder.module.globals.get(name) or ir.Function(self.builder.module, kind, name)
            return self.builder.call(found, given)

        return write

    def _extreme(self, sign: str) -> Write:
        def write(x: Any, y: Any) -> Any:
            b = self.builder
            found = b.select(b.fcmp_ordered(sign, x, y), x, y)  # y where either is not a number
            return b.select(b.fcmp_unordered("uno", x, x), x, found)

        return write

    def _sign(self, x: Any) -> Any:
        b, nothing = self.builder, self.constant(0.0)
        below = b.select(b.fcmp_ordered("<", x, nothing), self.constant(-1.0), nothing)
        return b.select(b.fcmp_ordered(">", x, nothing), self.constant(1.0), below)

    def _sigmoid(self, x: Any) -> Any:
        one = self.constant(1.0)
        return self.builder.fdiv(one, self.builder.fadd(one, self.apply("exp", [self.builder.fneg(x)])))

    def _softplus(self, x: Any) -> Any:
        above = self.apply("maximum", [x, self.constant(0.0)])
        below = self.builder.fneg(self.apply("abs", [x]))
        return self.builder.fadd(above, self.apply("log1p", [self.apply("exp_below", [below])]))

    def _erfcx(self, x: Any) -> Any:
        r""":math:`e^{x^2} \mathrm{erfc}(x)`: above zero a polynomial in (x - 4) / (x + 4), and by that below."""
        b, size, value = self.builder, self.apply("abs", [x]), self.constant(0.0)
        place = b.fsub(self.constant(1.0), b.fdiv(self.constant(8.0), b.fadd(size, self.constant(4.0))))
        for coefficient in _scaled_complement():
            value = self.apply("add", [self.apply("mul", [value, place]), self.constant(coefficient)])
        above = b.fdiv(value, b.fadd(self.constant(1.0), b.fadd(size, size)))
        below = b.fsub(b.fmul(self.constant(2.0), self.apply("exp", [b.fmul(x, x)])), above)
        return b.select(b.fcmp_ordered("<", x, self.constant(0.0)), below, above)


_DEGREE = 24


@lru_cache
def _scaled_complement() -> list[float]:
    r"""Coefficients, highest power first, of :math:`(1 + 2x)\, e^{x^2} \mathrm{erfc}(x)` in q = (x - 4) / (x + 4).

    That function hardly bends from 0 to infinity (Shepherd and Laframboise, 1981).
    """

    def smooth(q: Any) -> Any:
        x = 4 * (1 + q) / (1 - q)
        return (1 + 2 * x) * torch.special.erfcx(torch.from_numpy(x)).numpy()

    found = np.polynomial.chebyshev.chebinterpolate(smooth, _DEGREE)
    return np.polynomial.chebyshev.cheb2poly(found)[::-1].tolist()


_INTRINSICS = {"abs": "fabs", "sqrt": "sqrt", "floor": "floor"}


class Lanes(Numbers):
    """Operations on several numbers at a time."""

    def __init__(self, builder: Any, count: int) -> None:
        self.kind = ir.VectorType(REAL, count)
        self.suffix = f"v{count}f64"
        self._single = Numbers(builder)
        super().__init__(builder)

    def constant(self, value: float) -> Any:
        return ir.Constant(self.kind, [value] * self.kind.count)

    def _library(self, name: str) -> Write:
        return self._one_by_one(name)

    def _one_by_one(self, name: str) -> Write:
        def write(*given: Any) -> Any:
            b, found = self.builder, ir.Constant(self.kind, ir.Undefined)
            for lane in range(self.kind.count):
                numbers = [b.extract_element(one, _WHERE(lane)) for one in given]
                found = b.insert_element(found, self._single.apply(name, numbers), _WHERE(lane))
            return found

        return write

    def _own(self) -> dict[str, Write]:
        return {
            "exp": self._exp,
            "exp_below": self._exp_below,
            "log": self._log,
            "log1p": self._log1p,
            "expm1": self._expm1,
            "tanh": self._tanh,
            "sigmoid": self._sigmoid,
            "softplus": self._softplus,
            "digamma": self._one_by_one("digamma"),
        }

    def _kept(self, x: Any, found: Any) -> Any:
        """What is not a number stays so."""
        return self.builder.select(self.builder.fcmp_unordered("uno", x, x), x, found)

    def _exp_below(self, x: Any) -> Any:
        return self._kept(x, lanes.exp(self.builder, x))

    def _exp(self, x: Any) -> Any:
        b, most = self.builder, self.constant(_LARGEST_EXPONENT)
        above = b.fcmp_ordered(">", x, most)
        found = lanes.exp(b, b.select(above, most, x))
        return self._kept(x, b.select(above, self.constant(math.inf), found))

    def _log(self, x: Any) -> Any:
        b, nothing = self.builder, self.constant(0.0)
        tiny = b.fcmp_ordered("<", x, self.constant(_SMALLEST_NORMAL))
        normal = b.select(tiny, b.fmul(x, self.constant(2.0**_SCALING)), x)
        found = b.fsub(lanes.log(b, normal), b.select(tiny, self.constant(_SCALING * math.log(2)), nothing))
        found = b.select(b.fcmp_ordered("==", x, nothing), self.constant(-math.inf), found)
        found = b.select(b.fcmp_ordered("==", x, self.constant(math.inf)), x, found)
        return b.select(b.fcmp_unordered("<", x, nothing), self.constant(math.nan), found)

    def _log1p(self, x: Any) -> Any:
        """What 1 + x loses is put back in the first order."""
        b, one = self.builder, self.constant(1.0)
        whole = b.fadd(x, one)
        lost = b.fdiv(b.fsub(x, b.fsub(whole, one)), whole)
        regular = b.and_(
            b.fcmp_ordered(">", whole, self.constant(0.0)), b.fcmp_ordered("<", whole, self.constant(1e300))
        )
        return b.fadd(self._log(whole), b.select(regular, lost, self.constant(0.0)))

    def _expm1(self, x: Any) -> Any:
        b, value = self.builder, self.constant(1 / math.factorial(14))
        for i in range(13, 0, -1):
            value = lanes.fma(b, value, x, self.constant(1 / math.factorial(i)))
        near = b.fcmp_ordered("<", self.apply("abs", [x]), self.constant(_SMALL))
        return b.select(near, b.fmul(value, x), b.fsub(self._exp(x), self.constant(1.0)))

    def _tanh(self, x: Any) -> Any:
        b, size = self.builder, self.apply("abs", [x])
        less = self._expm1(b.fmul(size, self.constant(-2.0)))
        found = b.fneg(b.fdiv(less, b.fadd(less, self.constant(2.0))))
        return b.select(b.fcmp_ordered("<", x, self.constant(0.0)), b.fneg(found), found)


_SERIES = (-1 / 12, 1 / 120, -1 / 252, 1 / 240, -1 / 132, 691 / 32760, -1 / 12)  # Bernoulli numbers, B_2n / 2n, negated
_FAR = 10.0


def _digamma(module: Any) -> Any:
    r"""The derivative of log-gamma above zero: a recurrence to a large argument, and Stirling's series there.

    :math:`\psi(x) = \psi(x + 1) - 1/x` and :math:`\psi(x) \sim \log x - 1/(2x) - \sum_n B_{2n} / (2n x^{2n})`.
    """
    name = "mixtura.digamma"
    if name in module.globals:
        return module.globals[name]
    function = ir.Function(module, ir.FunctionType(REAL, [REAL]), name)
    function.linkage = "internal"
    entry, again, far = (function.append_basic_block() for _ in range(3))
    ir.IRBuilder(entry).branch(again)
    x, found = _recurrence(ir.IRBuilder(again), entry, again, far, function.args[0])
    b = ir.IRBuilder(far)
    inverse = b.fdiv(REAL(1.0), x)
    square = b.fmul(inverse, inverse)
    series = REAL(0.0)
    for coefficient in reversed(_SERIES):
        series = b.fmul(square, b.fadd(REAL(coefficient), series))
    near = b.fsub(Numbers(b).apply("log", [x]), b.fmul(REAL(0.5), inverse))
    valid = b.fcmp_ordered(">", function.args[0], REAL(0.0))
    b.ret(b.select(valid, b.fadd(b.fadd(near, series), found), REAL(math.nan)))
    return function


def _recurrence(b: Any, entry: Any, again: Any, far: Any, start: Any) -> tuple[Any, Any]:
    """Goes up in steps of one; at once far where there is no way up from."""
    x, found = b.phi(REAL), b.phi(REAL)
    x.add_incoming(start, entry)
    found.add_incoming(REAL(0.0), entry)
    up = b.and_(b.fcmp_ordered("<", x, REAL(_FAR)), b.fcmp_ordered(">", x, REAL(0.0)))
    x.add_incoming(b.fadd(x, REAL(1.0)), again)
    found.add_incoming(b.fsub(found, b.fdiv(REAL(1.0), x)), again)
    b.cbranch(up, again, far)
    return x, found
