"""Operations of torch that move entries about, by those of numpy; what is a view there is a view here."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

import numpy as np

from ..arrays import Array, array
from ..tape import Untraceable

__all__ = ["RULES"]


def _view(a: Array, shape: Sequence[int]) -> Array:
    return a.reshape(tuple(shape))


def _expand(a: Array, shape: Sequence[int], implicit: bool = False) -> Array:
    more = len(shape) - a.ndim
    whole = [a.shape[i - more] if size == -1 else size for i, size in enumerate(shape)]
    return np.broadcast_to(a, whole)


def _squeeze(a: Array, dims: Any = None) -> Array:
    if dims is None:
        return np.squeeze(a)
    axes = [dim % max(a.ndim, 1) for dim in (dims if isinstance(dims, Sequence) else [dims])]
    return np.squeeze(a, tuple(axis for axis in axes if a.ndim and a.shape[axis] == 1))


def _unsqueeze(a: Array, dim: int) -> Array:
    return np.expand_dims(a, dim)


def _at(a: Array, dim: int, which: Any) -> Array:
    where: list[Any] = [slice(None)] * a.ndim
    where[dim % a.ndim] = which
    found = a[tuple(where)]
    return found if isinstance(found, np.ndarray) else a[(*where, ...)]


def _select(a: Array, dim: int, index: int) -> Array:
    where: list[Any] = [slice(None)] * a.ndim
    where[dim % a.ndim] = index
    return a[(*where, ...)]  # the dots keep an array, and a view, where no axis is left


def _slice(a: Array, dim: int = 0, start: Any = None, end: Any = None, step: int = 1) -> Array:
    return _at(a, dim, slice(start, end, step))


def _split(a: Array, sizes: Any, dim: int = 0) -> list[Array]:
    total = a.shape[dim]
    steps = sizes if isinstance(sizes, Sequence) else [min(sizes, total - i) for i in range(0, total, sizes)]
    ends = np.cumsum([0, *steps])
    return [_at(a, dim, slice(int(one), int(other))) for one, other in zip(ends[:-1], ends[1:], strict=True)]


def _whole_numbers(index: Any) -> Any:
    """Places that are known, as whole numbers or truths."""
    if index is None:
        return slice(None)
    flat = [one.value for one in index.reshape(-1)]
    if any(one is None for one in flat):
        raise Untraceable("A place in a table depends on a number that is not known.")
    return flat, index.shape


def _places(indices: Sequence[Any], truths: Sequence[bool]) -> tuple[Any, ...]:
    """As numpy takes them; truths say which of them choose rather than count."""
    found = []
    for index, truth in zip(indices, truths, strict=True):
        known = _whole_numbers(index)
        made = known if isinstance(known, slice) else np.array(known[0]).reshape(known[1])
        found.append(made if isinstance(made, slice) else made.astype(bool if truth else int))
    return tuple(found)


def index(a: Array, indices: Sequence[Any], truths: Sequence[bool]) -> Array:
    """Entries at places that are known."""
    return array(a[_places(indices, truths)])


def index_put(a: Array, indices: Sequence[Any], truths: Sequence[bool], values: Array, accumulate: bool) -> Array:
    """The same with other entries at places that are known."""
    if accumulate:
        raise Untraceable("Adding up at places of a table has no rule.")
    made = a.copy()
    made[_places(indices, truths)] = values
    return made


def _gather(a: Array, dim: int, where: Array, sparse_grad: bool = False) -> Array:
    places = np.array(_whole_numbers(where)[0], dtype=int).reshape(where.shape or (1,))
    mesh = list(np.meshgrid(*(np.arange(size) for size in places.shape), indexing="ij"))
    mesh[dim % places.ndim] = places
    return a.reshape(a.shape or (1,))[tuple(mesh)].reshape(where.shape)


def _index_select(a: Array, dim: int, where: Array) -> Array:
    return np.take(a, np.array(_whole_numbers(where)[0], dtype=int), axis=dim)


def _transpose(a: Array, one: int, other: int) -> Array:
    return np.swapaxes(a, one, other)


def _diagonal(a: Array, offset: int = 0, one: int = 0, other: int = 1) -> Array:
    found = np.diagonal(a, offset, one, other)
    found.flags.writeable = True
    return found


def _diag_embed(a: Array, offset: int = 0, one: int = -2, other: int = -1) -> Array:
    if (offset, one, other) != (0, -2, -1):
        raise Untraceable("A diagonal elsewhere than in the last two axes has no rule.")
    made = _nothing(a, (*a.shape, a.shape[-1]))
    np.einsum("...ii->...i", made)[...] = a
    return made


def _nothing(a: Array, shape: Sequence[int]) -> Array:
    made = np.empty(tuple(shape), object)
    made[...] = a.reshape(-1)[0].tape.lifted(0.0)
    return made


def _triangle(keep: Callable[[int, int, int], Array]) -> Callable[..., Array]:
    def rule(a: Array, diagonal: int = 0) -> Array:
        return np.where(keep(a.shape[-2], diagonal, a.shape[-1]), a, _nothing(a, a.shape))

    return rule


def _lower(rows: int, diagonal: int, columns: int) -> Array:
    return np.tri(rows, columns, diagonal, dtype=bool)


def _upper(rows: int, diagonal: int, columns: int) -> Array:
    return ~np.tri(rows, columns, diagonal - 1, dtype=bool)


def _cat(parts: Sequence[Array], dim: int = 0) -> Array:
    return np.concatenate([one for one in parts if one.shape != (0,)], dim)


def _repeat(a: Array, times: Sequence[int]) -> Array:
    return np.tile(a, tuple(times))


def _pad(a: Array, widths: Sequence[int], value: float = 0) -> Array:
    pairs = [tuple(widths[i : i + 2]) for i in range(0, len(widths), 2)][::-1]
    made = np.pad(a, [(0, 0)] * (a.ndim - len(pairs)) + [tuple(max(n, 0) for n in pair) for pair in pairs])
    made[made == 0] = a.reshape(-1)[0].tape.lifted(value)
    for axis, (low, high) in enumerate(pairs, a.ndim - len(pairs)):
        made = _at(made, axis, slice(max(-low, 0), made.shape[axis] - max(-high, 0)))
    return made


def _as_strided(a: Array, size: Sequence[int], stride: Sequence[int], offset: Any = None) -> Array:
    natural = np.cumprod([1, *size[:0:-1]])[::-1].tolist()
    if offset or list(stride) != natural or int(np.prod(size)) != a.size:
        raise Untraceable("Memory laid out anew has no rule.")
    return a.reshape(tuple(size))


def _same(a: Array, *given: Any, **options: Any) -> Array:
    return a


def _copy(a: Array, *given: Any, **options: Any) -> Array:
    return a.copy()


RULES: dict[str, Callable[..., Any]] = {
    "view": _view,
    "_unsafe_view": _view,
    "reshape": _view,
    "_reshape_alias": lambda a, size, stride: _view(a, size),
    "as_strided": _as_strided,
    "expand": _expand,
    "permute": lambda a, dims: a.transpose(dims),
    "t": lambda a: a.T,
    "transpose": _transpose,
    "squeeze": _squeeze,
    "unsqueeze": _unsqueeze,
    "select": _select,
    "slice": _slice,
    "diagonal": _diagonal,
    "diag_embed": _diag_embed,
    "tril": _triangle(_lower),
    "triu": _triangle(_upper),
    "cat": _cat,
    "stack": lambda parts, dim=0: np.stack(parts, dim),
    "split": _split,
    "split_with_sizes": _split,
    "unbind": lambda a, dim=0: [_select(a, dim, i) for i in range(a.shape[dim])],
    "flip": lambda a, dims: np.flip(a, tuple(dims)),
    "roll": lambda a, shifts, dims=(): np.roll(a, shifts, tuple(dims) or None),
    "repeat": _repeat,
    "constant_pad_nd": _pad,
    "gather": _gather,
    "index_select": _index_select,
    "alias": _same,
    "detach": _same,
    "lift_fresh": _same,
    "clone": _copy,
    "contiguous": _copy,
    "_to_copy": _copy,
}
"""By torch's name of the operation."""
