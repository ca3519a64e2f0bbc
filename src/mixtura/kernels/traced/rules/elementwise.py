"""Operations of torch on each entry."""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import Any

import numpy as np

from ..arrays import Array, add, array, both, choose, either, lower, multiply, subtract, unary, upper
from ..tape import Node, Untraceable, chosen, power

__all__ = ["RULES"]


def _add(a: Any, b: Any, alpha: Any = 1) -> Array:
    return add(a, b if alpha == 1 else multiply(b, alpha))


def _sub(a: Any, b: Any, alpha: Any = 1) -> Array:
    return subtract(a, b if alpha == 1 else multiply(b, alpha))


def _div(a: Any, b: Any, rounding_mode: str | None = None) -> Array:
    found = _divide(a, b)
    return found if rounding_mode is None else _ROUNDED[rounding_mode](found)


_divide = np.frompyfunc(lambda a, b: a / b, 2, 1)
_power = np.frompyfunc(lambda a, b: power(*_pair(a, b)), 2, 1)
_floor = unary(lambda a: a.of("floor"))
_trunc = unary(lambda a: a.of("sign") * a.of("abs").of("floor"))
_ROUNDED: dict[str, Callable[[Array], Array]] = {"floor": lambda a: _floor(a), "trunc": lambda a: _trunc(a)}


def _compare(function: Callable[[Node, Node], Node]) -> Callable[[Any, Any], Array]:
    made = np.frompyfunc(function, 2, 1)
    return lambda a, b: array(made(a, b))


def _same(a: Any, b: Any) -> Node:
    return a.same(a.tape.lifted(b))


def _differs(a: Any, b: Any) -> Node:
    return a.differs(a.tape.lifted(b))


def _clamp(a: Array, least: Any = None, most: Any = None) -> Array:
    found = a if least is None else _bounded(a, least, lambda x, end: x < end)
    return found if most is None else _bounded(found, most, lambda x, end: x > end)


def _bounded(a: Array, end: Any, beyond: Callable[[Any, Any], Node]) -> Array:
    made = np.frompyfunc(lambda x, e: chosen(beyond(x, e), x.tape.lifted(e), x), 2, 1)
    return array(made(a, end))


def _xlogy(x: Any, y: Any) -> Node:
    return chosen(_same(x, 0.0), x.tape.lifted(0.0), x * x.tape.lifted(y).of("log"))


def _xlog1py(x: Any, y: Any) -> Node:
    return chosen(_same(x, 0.0), x.tape.lifted(0.0), x * x.tape.lifted(y).of("log1p"))


def _logaddexp(a: Node, b: Node) -> Node:
    top = a.of("top", b).of("top", a.tape.lifted(-1e308)).of("stop")
    return top + ((a - top).of("exp_below") + (b - top).of("exp_below")).of("log")


def _softplus(a: Array, beta: Any = 1, threshold: Any = 20) -> Array:
    return multiply(unary(lambda x: x.of("softplus"))(multiply(a, beta)), 1 / beta)


def _cross_entropy(a: Array, target: Array, weight: Any = None, positive: Any = None, reduction: int = 1) -> Array:
    if reduction or weight is not None or positive is not None:
        raise Untraceable("A cross-entropy that is weighed or summed has no rule.")
    return subtract(unary(lambda x: x.of("softplus"))(a), multiply(target, a))


def _log_sigmoid(a: Array) -> tuple[Array, None]:
    return unary(lambda x: -((-x).of("softplus")))(a), None


def _logit(a: Array, eps: float | None = None) -> Array:
    inside = a if eps is None else _clamp(a, eps, 1 - eps)
    return unary(lambda x: x.of("log") - (-x).of("log1p"))(inside)


def _log_ndtr(x: Node) -> Node:
    r"""The logarithm of the normal law's distribution function, of which its tails lose nothing.

    Below zero it is :math:`\log\tfrac12 \mathrm{erfcx}(-x/\sqrt 2) - x^2/2`. Where a branch is not taken it is computed
    at zero, so that its derivative is finite.
    """
    nothing, low = x.tape.lifted(0.0), x < 0
    below, above = chosen(low, x, nothing), chosen(low, nothing, x)
    tail = (0.5 * (below * -math.sqrt(0.5)).of("erfcx")).of("log") - 0.5 * below * below
    return chosen(low, tail, (-0.5 * (above * math.sqrt(0.5)).of("erfc")).of("log1p"))


def _isfinite(a: Node) -> Node:
    return a.of("abs") < math.inf


def _isinf(a: Node) -> Node:
    return _same(a.of("abs"), math.inf)


def _nan_to_num(a: Array, nan: float | None = None, posinf: float | None = None, neginf: float | None = None) -> Array:
    most = np.finfo(float).max
    high, low = most if posinf is None else posinf, -most if neginf is None else neginf

    def one(x: Node) -> Node:
        found = chosen(_same(x, -math.inf), x.tape.lifted(low), x)
        found = chosen(_same(x, math.inf), x.tape.lifted(high), found)
        return chosen(x.differs(x), x.tape.lifted(nan or 0.0), found)

    return unary(one)(a)


def _mvlgamma(a: Array, p: int) -> Array:
    constant = 0.25 * p * (p - 1) * math.log(math.pi)
    terms = [unary(lambda x, i=i: (x - 0.5 * i).of("lgamma"))(a) for i in range(p)]
    return add(sum(terms[1:], terms[0]), constant)


def _remainder(a: Any, b: Any) -> Array:
    return subtract(a, multiply(_floor(array(_divide(a, b))), b))


def _special(name: str) -> Callable[[Array], Array]:
    return unary(lambda x: x.of(name))


def _logical_not(a: Array) -> Array:
    return unary(lambda x: ~x)(a)


def _bitwise(function: Callable[[Any, Any], Array]) -> Callable[[Any, Any], Array]:
    return lambda a, b: function(a, b) if _truths(a) else _no_bits()


def _truths(a: Any) -> bool:
    return all(one.truth or one.value in (0.0, 1.0) for one in np.asarray(a, object).reshape(-1))


def _no_bits() -> Array:
    raise Untraceable("Operations on bits have no rule.")


def _where(truth: Array, a: Any, b: Any) -> Array:
    return choose(truth, *(_like(truth, one) for one in (a, b)))


def _like(truth: Array, one: Any) -> Any:
    return one if isinstance(one, np.ndarray) else truth.reshape(-1)[0].tape.lifted(one)


def _lerp(a: Array, b: Array, weight: Any) -> Array:
    return add(a, multiply(subtract(b, a), weight))


_PLAIN = ("exp", "log", "log1p", "expm1", "sqrt", "abs", "sign", "sin", "cos", "tan", "asin", "acos", "atan", "sinh",
          "cosh", "tanh", "sigmoid", "erf", "erfc", "lgamma", "digamma", "floor")  # fmt: skip

RULES: dict[str, Callable[..., Any]] = {
    **{name: _special(name) for name in _PLAIN},
    "special_expm1": _special("expm1"),
    "special_log_ndtr": unary(_log_ndtr),
    "special_ndtr": unary(lambda x: 0.5 * (x * -math.sqrt(0.5)).of("erfc")),
    "special_digamma": _special("digamma"),
    "special_erfcx": _special("erfcx"),
    "sgn": _special("sign"),
    "add": _add,
    "sub": _sub,
    "rsub": lambda a, b, alpha=1: _sub(b, a, alpha),
    "mul": multiply,
    "div": _div,
    "true_divide": _div,
    "neg": unary(lambda x: -x),
    "positive": unary(lambda x: x),
    "pow": _power,
    "float_power": _power,
    "square": unary(lambda x: x * x),
    "reciprocal": unary(lambda x: 1.0 / x),
    "rsqrt": unary(lambda x: 1.0 / x.of("sqrt")),
    "exp2": unary(lambda x: (x * math.log(2)).of("exp")),
    "log2": unary(lambda x: x.of("log") / math.log(2)),
    "log10": unary(lambda x: x.of("log") / math.log(10)),
    "ceil": unary(lambda x: -((-x).of("floor"))),
    "trunc": _trunc,
    "frac": unary(lambda x: x - x.of("sign") * x.of("abs").of("floor")),
    "atan2": np.frompyfunc(lambda a, b: a.of("atan2", b), 2, 1),
    "hypot": np.frompyfunc(lambda a, b: (a * a + b * b).of("sqrt"), 2, 1),
    "maximum": upper,
    "minimum": lower,
    "clamp": _clamp,
    "clamp_min": _clamp,
    "clamp_max": lambda a, most: _clamp(a, None, most),
    "relu": unary(lambda x: chosen(x > 0, x, x.tape.lifted(0.0))),
    "xlogy": np.frompyfunc(lambda x, y: _xlogy(*_pair(x, y)), 2, 1),
    "special_xlog1py": np.frompyfunc(lambda x, y: _xlog1py(*_pair(x, y)), 2, 1),
    "logaddexp": np.frompyfunc(_logaddexp, 2, 1),
    "softplus": _softplus,
    "log_sigmoid_forward": _log_sigmoid,
    "binary_cross_entropy_with_logits": _cross_entropy,
    "logit": _logit,
    "addcmul": lambda a, b, c, value=1: add(a, multiply(multiply(b, c), value)),
    "addcdiv": lambda a, b, c, value=1: add(a, multiply(_div(b, c), value)),
    "lerp": _lerp,
    "mvlgamma": _mvlgamma,
    "remainder": _remainder,
    "fmod": lambda a, b: subtract(a, multiply(_trunc(array(_divide(a, b))), b)),
    "eq": _compare(lambda a, b: _same(*_pair(a, b))),
    "ne": _compare(lambda a, b: _differs(*_pair(a, b))),
    "lt": _compare(lambda a, b: a < b),
    "le": _compare(lambda a, b: a <= b),
    "gt": _compare(lambda a, b: a > b),
    "ge": _compare(lambda a, b: a >= b),
    "logical_and": both,
    "logical_or": either,
    "logical_xor": _compare(lambda a, b: (a & ~b) | (~a & b)),
    "logical_not": _logical_not,
    "bitwise_and": _bitwise(both),
    "bitwise_or": _bitwise(either),
    "bitwise_not": _logical_not,
    "isnan": unary(lambda x: x.differs(x)),
    "isinf": unary(_isinf),
    "isfinite": unary(_isfinite),
    "nan_to_num": _nan_to_num,
    "where": _where,
    "fill": lambda a, value: value if isinstance(value, np.ndarray) else _like(a, value),
    "zero": lambda a: _like(a, 0.0),
    "copy": lambda a, b, *options: b,
    "masked_fill": lambda a, truth, value: choose(
        truth, value if isinstance(value, np.ndarray) else _like(a, value), a
    ),
}
"""By torch's name of the operation."""


def _pair(a: Any, b: Any) -> tuple[Any, Any]:
    """Two nodes, where one may have come as a number."""
    return (b.tape.lifted(a), b) if isinstance(a, (int, float)) else (a, a.tape.lifted(b))
