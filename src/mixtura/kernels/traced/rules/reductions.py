"""Operations of torch that take entries along axes together."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np

from ..arrays import Array, add, both, either, folded, lower, multiply, subtract, unary, upper
from ..tape import Untraceable

__all__ = ["RULES", "log_sum_exp"]

_LEAST = -1e308  # where all terms of a log-sum-exp are minus infinity, they are so beside this
_below = unary(lambda x: x.of("exp_below"))
_log = unary(lambda x: x.of("log"))
_stopped = unary(lambda x: x.of("top", x.tape.lifted(_LEAST)).of("stop"))
_top = np.frompyfunc(lambda a, b: a.of("top", b), 2, 1)


def _sum(a: Array, dims: Any = None, keep: bool = False, dtype: Any = None) -> Array:
    return folded(add, a, dims, keep)


def _mean(a: Array, dims: Any = None, keep: bool = False, dtype: Any = None) -> Array:
    found = _sum(a, dims, keep)
    return multiply(found, found.size / a.size)


def _prod(a: Array, dims: Any = None, keep: bool = False, dtype: Any = None) -> Array:
    return folded(multiply, _some(a), dims, keep)


def _some(a: Array) -> Array:
    if not a.size:
        raise Untraceable("Of no numbers at all, only the sum has a rule.")
    return a


def _scaled(a: Array, dims: Any) -> tuple[Array, Array, Array]:
    """The largest entry, held fixed in derivatives, the exponentials relative to it, and their sum."""
    top = _stopped(folded(_top, _some(a), dims, True))
    each = _below(subtract(a, top))
    return top, each, folded(add, each, dims, True)


def log_sum_exp(a: Array, dims: Any, keep: bool = False) -> Array:
    """The logarithm of a sum of exponentials."""
    top, _, total = _scaled(a, dims)
    found = add(top, _log(total))
    return found if keep else folded(add, found, dims, False)


def _softmax(a: Array, dim: Any, *options: Any) -> Array:
    _, each, total = _scaled(a, dim)
    return multiply(each, unary(lambda x: 1.0 / x)(total))


def _log_softmax(a: Array, dim: Any, *options: Any) -> Array:
    top, _, total = _scaled(a, dim)
    return subtract(subtract(a, top), _log(total))


def _cumulated(function: Callable[[Any, Any], Array]) -> Callable[..., Array]:
    def rule(a: Array, dim: int, dtype: Any = None) -> Array:
        if not a.ndim:
            return a.copy()
        parts = list(np.moveaxis(a, dim, 0))
        for i in range(1, len(parts)):
            parts[i] = function(parts[i - 1], parts[i])
        return np.stack([np.asarray(one, object) for one in parts], dim)

    return rule


def _log_cumulated(a: Array, dim: int) -> Array:
    parts = np.moveaxis(a, dim, 0)
    return np.stack([log_sum_exp(parts[: i + 1], 0) for i in range(len(parts))], dim)


def _var(a: Array, dims: Any = None, correction: Any = 1, keepdim: bool = False) -> Array:
    rest = subtract(a, _mean(a, dims, True))
    total = _sum(multiply(rest, rest), dims, keepdim)
    return multiply(total, 1 / (a.size / total.size - (1 if correction is None else correction)))


def _norm(a: Array, order: Any = 2, dims: Any = None, keep: bool = False, dtype: Any = None) -> Array:
    if order == 2:
        return unary(lambda x: x.of("sqrt"))(_sum(multiply(a, a), dims, keep))
    if order == 1:
        return _sum(unary(lambda x: x.of("abs"))(a), dims, keep)
    raise Untraceable(f"A norm of order {order} has no rule.")


def _extreme(function: Callable[[Any, Any], Array]) -> Callable[..., Any]:
    def rule(a: Array, dim: Any = None, keep: bool = False) -> Any:
        found = folded(function, _some(a), dim, keep)
        return found if dim is None else (found, None)

    return rule


def _one_of(function: Callable[[Any, Any], Array]) -> Callable[..., Array]:
    return lambda a, dims=None, keep=False: folded(function, _some(a), dims, keep)


RULES: dict[str, Callable[..., Any]] = {
    "sum": _sum,
    "mean": _mean,
    "prod": _prod,
    "logsumexp": log_sum_exp,
    "_softmax": _softmax,
    "_log_softmax": _log_softmax,
    "cumsum": _cumulated(add),
    "cumprod": _cumulated(multiply),
    "logcumsumexp": _log_cumulated,
    "var": _var,
    "std": lambda *given, **options: unary(lambda x: x.of("sqrt"))(_var(*given, **options)),
    "linalg_vector_norm": _norm,
    "norm": _norm,
    "amax": _one_of(upper),
    "amin": _one_of(lower),
    "max": _extreme(upper),
    "min": _extreme(lower),
    "all": _one_of(both),
    "any": _one_of(either),
}
"""By torch's name of the operation."""
