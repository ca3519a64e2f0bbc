"""The Gaussian passes on a CPU through the compiled kernels: soft labels, float32 and float64 rows.

Parameters are prepared in float64 about a common centre and cast to the type of the rows. Rows are cut in one share
for each of torch's threads; every share has its own sums, added at the end in a fixed order.
"""

import math
import os
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from functools import lru_cache
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from ..choose import work
from ..reference import Diagonal, Full, Kernel, Spherical
from ..sums import Sums
from . import gaussian_loops as kernels
from .vector import lanes

__all__ = ["log_density", "log_joint", "sums"]

Array = NDArray[Any]

_PANELS = 8
_GRAIN = 3_000_000  # work worth another thread: about a tenth of a millisecond
_SUMS_BYTES = 32 << 20  # of float64 sums over all threads


class _Model:
    """Parameters as the kernels take them. Subclasses say which kernels, and what these add up in."""

    sums: Callable[..., None]
    density: Callable[..., None]

    def __init__(self, x: Array, mean: Array, factor: Array, logits: Array) -> None:
        self.dtype, self.factor, self.logits = x.dtype, factor * math.sqrt(0.5), logits
        self.restarts, self.components, self.features = mean.shape
        weights = np.exp(logits - logits.max())
        self.centre = (np.tensordot(weights, mean, 2) / weights.sum()).astype(x.dtype)
        self.mean = mean - self.centre

    def padded(self) -> tuple[int, int]:
        """Components and features as the kernels count them."""
        return self.components, self.features

    def size(self) -> kernels.Shape:
        return kernels.Shape(self.restarts, *self.padded(), self.features, _PANELS, *lanes(self.dtype.itemsize))

    def density_arguments(self) -> tuple[Array, ...]:
        """Factors, offsets and logits, flat, padded, and in the type of the rows."""
        raise NotImplementedError

    def second_shapes(self) -> tuple[tuple[int, ...], ...]:
        """Shapes of the second moments of one restart."""
        raise NotImplementedError

    def scatter(self, *second: Array) -> Array:
        """Second moments -> (B, K or 1, ...)."""
        raise NotImplementedError

    def arguments(self) -> tuple[Array, ...]:
        """Means, and what densities need."""
        return self.fill(self.mean, self.restarts, *self.padded()), *self.density_arguments()

    def room(self) -> tuple[Array, ...]:
        components, features = self.padded()
        shapes = (), (components,), (components, features), *self.second_shapes()
        return tuple(np.zeros((self.restarts, *shape)) for shape in shapes)

    def finish(self, likelihood: Array, mass: Array, shift: Array, *second: Array) -> tuple[Array, ...]:
        k, d = self.components, self.features
        return likelihood, mass[:, :k], shift[:, :k, :d], self.scatter(*second)

    def fill(self, array: Array, *shape: int, value: float = 0.0) -> Array:
        """The same numbers in a larger shape, flat and in the type of the rows."""
        out = np.full(shape, value, self.dtype)
        out[tuple(slice(n) for n in array.shape)] = array
        return out.reshape(-1)


class _Full(_Model):
    """One triangle a component."""

    sums, density = kernels.full_sums, kernels.full_density

    def padded(self) -> tuple[int, int]:
        return self.components, _even(self.features)

    def density_arguments(self) -> tuple[Array, ...]:
        b, k, d = self.restarts, *self.padded()
        offset = -(self.factor @ self.mean[..., None])[..., 0]
        factor = np.broadcast_to(self.factor, (*self.mean.shape, self.features))
        return self.fill(factor, b, k, d, d), self.fill(offset, b, k, d), self.fill(self.logits, b, k)

    def second_shapes(self) -> tuple[tuple[int, ...], ...]:
        k, d = self.padded()
        return ((k, d, d),)

    def scatter(self, *second: Array) -> Array:
        return _symmetric(second[0])[..., : self.features, : self.features]


class _FullPooled(_Full):
    """One triangle a restart, repeated: for components so many that their pairs would cost more."""

    def scatter(self, *second: Array) -> Array:
        return super().scatter(*second).sum(1, keepdims=True)


class _Tied(_Model):
    """One triangle a restart."""

    sums, density = kernels.tied_sums, kernels.tied_density

    def padded(self) -> tuple[int, int]:
        return _even(self.components), _even(self.features)

    def density_arguments(self) -> tuple[Array, ...]:
        b, k, d = self.restarts, *self.padded()
        factor = self.factor[:, 0]
        offset = -(self.mean @ factor.swapaxes(-1, -2))
        return (
            self.fill(factor, b, d, d),
            np.zeros(b * d, self.dtype),
            np.ones(b * k * d, self.dtype),
            self.fill(offset, b, k, d),
            self.fill(self.logits, b, k, value=-math.inf),
        )

    def second_shapes(self) -> tuple[tuple[int, ...], ...]:
        k, d = self.padded()
        return (d, d), (k, k)

    def scatter(self, *second: Array) -> Array:
        within, between = _symmetric(second[0])[:, : self.features, : self.features], second[1]
        for k in range(1, self.components):  # pairs l < k; the kernel fills the lower triangle
            apart = self.mean[:, k, None] - self.mean[:, :k]
            within += apart.swapaxes(-1, -2) @ (between[:, k, :k, None] * apart)
        return within[:, None]


class _Diagonal(_Model):
    """One factor a feature."""

    sums, density = kernels.diagonal_sums, kernels.diagonal_density

    def __init__(self, x: Array, mean: Array, factor: Array, logits: Array) -> None:
        super().__init__(x, mean, factor, logits)
        self.tied = factor.shape[1] == 1

    def density_arguments(self) -> tuple[Array, ...]:
        factor = np.broadcast_to(self.factor, self.mean.shape)
        return tuple(np.ravel(a).astype(self.dtype) for a in (factor, -factor * self.mean, self.logits))

    def second_shapes(self) -> tuple[tuple[int, ...], ...]:
        return ((self.components, self.features),)

    def scatter(self, *second: Array) -> Array:
        return second[0].sum(1, keepdims=True) if self.tied else second[0]


class _Spherical(_Diagonal):
    """One factor."""

    sums = kernels.spherical_sums

    def __init__(self, x: Array, mean: Array, factor: Array, logits: Array) -> None:
        super().__init__(x, mean, factor[..., None], logits)

    def arguments(self) -> tuple[Array, ...]:
        precision = np.broadcast_to(self.factor[..., 0] ** 2, self.logits.shape)
        return tuple(np.ravel(a).astype(self.dtype) for a in (self.mean, precision, self.logits))

    def second_shapes(self) -> tuple[tuple[int, ...], ...]:
        return ((self.components,),)


def sums(kind: Kernel, x: Tensor, weight: Tensor | None, mean: Tensor, factor: Tensor, logits: Tensor) -> Sums:
    """Everything an update needs, from one pass over the rows."""
    rows, weights = x.detach().contiguous().numpy(), _weights(x, weight)
    limit = max(1, _SUMS_BYTES // (8 * factor[:1].numel() * mean.shape[1]))
    workers = min(_workers(x, mean), limit)
    parts = [
        _sums(_model(kind, rows, mean[s], factor[s], logits[s]), rows, weights, workers)
        for s in _shares(mean.shape[0], max(1, limit // workers))
    ]
    return Sums(*(torch.from_numpy(np.concatenate(field)) for field in zip(*parts, strict=True)))


def _sums(model: _Model, rows: Array, weights: Array, workers: int) -> tuple[Array, ...]:
    flat, centre, arguments, size = rows.reshape(-1), model.centre, model.arguments(), model.size()

    def run(begin: int, end: int) -> tuple[Array, ...]:
        room = model.room()
        type(model).sums(flat, begin, end, weights, centre, *arguments, size, *room)
        return room

    parts = _in_threads(run, len(rows), workers)
    return model.finish(*(np.add.reduce(field) for field in zip(*parts, strict=True)))


def log_joint(kind: Kernel, x: Tensor, mean: Tensor, factor: Tensor, logits: Tensor) -> Tensor:
    """Log joint density of each row and component: (N, B, K)."""
    out = x.new_empty(x.shape[0], *logits.shape)
    _densities(kind, x, mean, factor, logits, np.empty((0, 0), x.numpy().dtype), out.numpy())
    return out


def log_density(kind: Kernel, x: Tensor, mean: Tensor, factor: Tensor, logits: Tensor) -> Tensor:
    """Log density of each row under each mixture: (N, B)."""
    out = x.new_empty(x.shape[0], logits.shape[0])
    _densities(kind, x, mean, factor, logits, out.numpy(), np.empty((0, 0, 0), out.numpy().dtype))
    return out


def _densities(kind: Kernel, x: Tensor, mean: Tensor, factor: Tensor, logits: Tensor, *out: Array) -> None:
    rows = x.detach().contiguous().numpy()
    model = _model(kind, rows, mean, factor, logits)
    flat, centre, arguments, size = rows.reshape(-1), model.centre, model.density_arguments(), model.size()

    def run(begin: int, end: int) -> None:
        type(model).density(flat, begin, end, centre, *arguments, size, model.components, *out)

    _in_threads(run, len(rows), _workers(x, mean))


def _model(kind: Kernel, rows: Array, mean: Tensor, factor: Tensor, logits: Tensor) -> _Model:
    parameters = [t.detach().to(torch.float64).numpy() for t in (mean, factor, logits)]
    return _family(kind, mean, factor)(rows, *parameters)


def _family(kind: Kernel, mean: Tensor, factor: Tensor) -> type[_Model]:
    if kind is not Full:
        return {Diagonal: _Diagonal, Spherical: _Spherical}[kind]
    if factor.shape[1] == mean.shape[1]:
        return _Full
    return _Tied if mean.shape[1] <= mean.shape[2] ** 2 else _FullPooled


def _workers(x: Tensor, mean: Tensor) -> int:
    return max(1, min(torch.get_num_threads(), work(x.shape[0], mean) // _GRAIN))


def _in_threads(run: Callable[[int, int], Any], rows: int, workers: int) -> list[Any]:
    """The results of run(begin, end) for equal shares of the rows, in order."""
    if workers == 1:
        return [run(0, rows)]
    edges = [rows * i // workers for i in range(workers + 1)]
    later = _pool(workers - 1, os.getpid()).map(run, edges[1:-1], edges[2:])
    return [run(0, edges[1]), *later]


@lru_cache(maxsize=4)
def _pool(workers: int, process: int) -> ThreadPoolExecutor:
    """Threads kept between passes, since starting one takes as long as a small pass; a forked process has its own."""
    return ThreadPoolExecutor(workers, thread_name_prefix="mixtura")


def _weights(x: Tensor, weight: Tensor | None) -> Array:
    return (x.new_empty(0) if weight is None else weight.detach().to(x.dtype)).numpy()


def _shares(restarts: int, count: int) -> list[slice]:
    return [slice(i, i + count) for i in range(0, restarts, count)]


def _symmetric(lower: Array) -> Array:
    return np.tril(lower) + np.tril(lower, -1).swapaxes(-1, -2)


def _even(count: int) -> int:
    return count + count % 2
