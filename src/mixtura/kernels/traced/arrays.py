"""Arrays of nodes: tensors of numbers that are not known yet. What shares memory as tensors shares it as arrays."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from functools import reduce
from math import prod
from typing import Any

import numpy as np
from torch import Tensor

from .tape import Node, Tape, chosen, larger, smaller

__all__ = [
    "Array",
    "add",
    "array",
    "both",
    "choose",
    "either",
    "exponential",
    "folded",
    "lifted",
    "multiply",
    "subtract",
    "unary",
    "upper",
    "lower",
]

Array = np.ndarray


def array(found: Any) -> Array:
    """An array of nodes, where arithmetic on arrays without axes leaves a bare node."""
    return found if isinstance(found, np.ndarray) else _single(found)


def _single(node: Any) -> Array:
    made = np.empty((), object)
    made[()] = node
    return made


def lifted(tape: Tape, tensor: Tensor) -> Array:
    """The nodes of a tensor of numbers that are known."""
    made = np.empty(tuple(tensor.shape), object)
    made.reshape(-1)[:] = [tape.lifted(one) for one in tensor.detach().reshape(-1).tolist()]
    return made


def _by_entry(function: Callable[..., Node], count: int) -> Callable[..., Array]:
    made = np.frompyfunc(function, count, 1)
    return lambda *given: array(made(*given))


add = _by_entry(lambda a, b: a + b, 2)
subtract = _by_entry(lambda a, b: a - b, 2)
multiply = _by_entry(lambda a, b: a * b, 2)
upper = _by_entry(larger, 2)
lower = _by_entry(smaller, 2)
both = _by_entry(lambda a, b: a & b, 2)
either = _by_entry(lambda a, b: a | b, 2)
choose = _by_entry(chosen, 3)
exponential = _by_entry(lambda a: a.of("exp"), 1)


def unary(function: Callable[[Node], Node]) -> Callable[[Array], Array]:
    """A function of one number, entry by entry."""
    return _by_entry(function, 1)


def folded(function: Callable[[Any, Any], Any], values: Array, dims: Any, keep: bool) -> Array:
    """All entries along some axes taken together, two and two."""
    axes = _axes(dims, values.ndim)
    rest = [axis for axis in range(values.ndim) if axis not in axes]
    count = prod(values.shape[axis] for axis in axes)
    flat = values.transpose(*rest, *axes).reshape(*(values.shape[axis] for axis in rest), count)
    found = array(_halved(function, [flat[..., i] for i in range(count)])) if count else _zeros(flat.shape[:-1])
    shape = [1 if axis in axes else size for axis, size in enumerate(values.shape)]
    return found.reshape(shape) if keep else found


def _zeros(shape: tuple[int, ...]) -> Array:
    """Sums of nothing."""
    return np.zeros(shape).astype(object)


def _axes(dims: Any, count: int) -> list[int]:
    if dims is None or (isinstance(dims, Sequence) and not dims):
        return list(range(count))
    return [dim % max(count, 1) for dim in (dims if isinstance(dims, Sequence) else [dims])] if count else []


def _halved(function: Callable[[Any, Any], Any], parts: list[Any]) -> Any:
    while len(parts) > 2:
        parts = [reduce(function, parts[i : i + 2]) for i in range(0, len(parts), 2)]
    return reduce(function, parts)
