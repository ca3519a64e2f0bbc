"""Linear algebra of small matrices, written out number by number."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np

from ..arrays import Array, add, array, folded, multiply, subtract, unary
from ..tape import Untraceable, chosen

__all__ = ["RULES"]

_root = unary(lambda x: x.of("sqrt"))
_inverse = unary(lambda x: 1.0 / x)


def _dot(a: Array, b: Array) -> Array:
    """Products summed over the last axis."""
    return folded(add, multiply(a, b), -1, False)


def _product(a: Array, b: Array) -> Array:
    return _dot(a[..., :, None, :], np.swapaxes(b, -1, -2)[..., None, :, :])


def _with(a: Array, found: Array, beta: Any, alpha: Any) -> Array:
    return add(multiply(a, beta), multiply(found, alpha))


def _cholesky(a: Array) -> Array:
    """Column by column; where a matrix is not positive, a root is not a number."""
    made = multiply(a, 0.0)
    for j in range(a.shape[-1]):
        rest = a[..., j:, j]
        if j:
            rest = subtract(rest, _dot(made[..., j:, :j], made[..., j : j + 1, :j]))
        pivot = _root(array(rest[..., 0]))
        made[..., j, j] = pivot
        made[..., j + 1 :, j] = multiply(rest[..., 1:], array(_inverse(pivot))[..., None])
    return made


def _checked_cholesky(a: Array, upper: bool = False, check_errors: bool = False) -> tuple[Array, Array]:
    """The factor, and 1 where there is none."""
    factor = _cholesky(a)
    pivots = folded(add, np.diagonal(factor, 0, -2, -1), -1, False)
    failed = unary(lambda x: chosen(x.differs(x), x.tape.lifted(1.0), x.tape.lifted(0.0)))(pivots)
    return _turned(factor) if upper else factor, failed


def _forward(lower: Array, right: Array, unit: bool) -> Array:
    """L x = b, row by row."""
    shape = np.broadcast_shapes(lower.shape[:-2], right.shape[:-2])
    found = np.broadcast_to(right, (*shape, *right.shape[-2:])).copy()
    for i in range(lower.shape[-1]):
        rest = found[..., i, :]
        if i:
            known = _product(lower[..., i : i + 1, :i], found[..., :i, :])[..., 0, :]
            rest = subtract(rest, known)
        found[..., i, :] = rest if unit else multiply(rest, _inverse(array(lower[..., i, i]))[..., None])
    return found


def _solve_triangular(a: Array, b: Array, *, upper: bool, left: bool = True, unitriangular: bool = False) -> Array:
    if not left:
        turned = _solve_triangular(_turned(a), _turned(b), upper=not upper, unitriangular=unitriangular)
        return _turned(turned)
    if upper:
        return _forward(a[..., ::-1, ::-1], b[..., ::-1, :], unitriangular)[..., ::-1, :]
    return _forward(a, b, unitriangular)


def _triangular_solve(b: Array, a: Array, upper: bool = True, transpose: bool = False, unitriangular: bool = False):
    given, above = (_turned(a), not upper) if transpose else (a, upper)
    return _solve_triangular(given, b, upper=above, unitriangular=unitriangular), a


def _turned(a: Array) -> Array:
    return np.swapaxes(a, -1, -2)


def _cholesky_solve(b: Array, factor: Array, upper: bool = False) -> Array:
    lower = _turned(factor) if upper else factor
    return _solve_triangular(_turned(lower), _forward(lower, b, False), upper=True)


def _identity(a: Array) -> Array:
    made = multiply(a, 0.0)
    np.einsum("...ii->...i", made)[...] = a.reshape(-1)[0].tape.lifted(1.0)
    return made


def _cholesky_inverse(factor: Array, upper: bool = False) -> Array:
    return _cholesky_solve(_identity(factor), factor, upper)


def _solved(a: Array, b: Array) -> Array:
    """A x = b by elimination without exchange of rows, which serves matrices that are positive or nearly diagonal."""
    a, b = a.copy(), np.broadcast_to(b, (*np.broadcast_shapes(a.shape[:-2], b.shape[:-2]), *b.shape[-2:])).copy()
    for j in range(a.shape[-1]):
        pivot = _inverse(array(a[..., j, j]))
        for i in range(j + 1, a.shape[-1]):
            factor = array(multiply(a[..., i, j], pivot))[..., None]
            a[..., i, :] = subtract(a[..., i, :], multiply(factor, a[..., j, :]))
            b[..., i, :] = subtract(b[..., i, :], multiply(factor, b[..., j, :]))
    return _solve_triangular(a, b, upper=True)


def _checked_solve(a: Array, b: Array, *, left: bool = True, check_errors: bool = False) -> tuple[Any, ...]:
    if not left:
        raise Untraceable("Solving from the right has no rule.")
    vector = b.ndim == a.ndim - 1
    found = _solved(a, b[..., None] if vector else b)
    return found[..., 0] if vector else found, None, None, None


RULES: dict[str, Callable[..., Any]] = {
    "trace": lambda a: folded(add, np.diagonal(a), None, False),
    "dot": _dot,
    "vdot": _dot,
    "mv": lambda a, b: _dot(a, b),
    "mm": _product,
    "bmm": _product,
    "matmul": _product,
    "addmm": lambda a, b, c, beta=1, alpha=1: _with(a, _product(b, c), beta, alpha),
    "baddbmm": lambda a, b, c, beta=1, alpha=1: _with(a, _product(b, c), beta, alpha),
    "addmv": lambda a, b, c, beta=1, alpha=1: _with(a, _dot(b, c), beta, alpha),
    "cholesky": lambda a, upper=False: _turned(_cholesky(a)) if upper else _cholesky(a),
    "linalg_cholesky_ex": _checked_cholesky,
    "linalg_solve_triangular": _solve_triangular,
    "triangular_solve": _triangular_solve,
    "cholesky_solve": _cholesky_solve,
    "cholesky_inverse": _cholesky_inverse,
    "linalg_inv_ex": lambda a, check_errors=False: (_solved(a, _identity(a)), None),
    "_linalg_solve_ex": _checked_solve,
}
"""By torch's name of the operation."""
