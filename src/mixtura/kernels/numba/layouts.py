"""Parameters as the compiled loops take them: flat, padded, about a common centre, in the type of the rows.

They are prepared in float64. A layout says which loops, what these add up in, and what the sums are.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from ..form import DIAGONAL, FULL, SPHERICAL
from ..plan import Plan
from . import density_loops, heavy_tails_loops, sums_loops, wide_loops
from .joints import Shape
from .vector import lanes

__all__ = ["Array", "Layout", "NO_TAILS", "TailTerms", "aligned", "layout"]

Array = NDArray[Any]

_PANELS = 8
_WIDE = 32  # features from which on the loops for wide rows are faster
_NEAR = {8: 2.0**10, 4: 2.0**4}  # squared distances of the centre in scales that leave twelve digits, and six
_LINE = 64  # bytes of a line of the cache


class TailTerms(NamedTuple):
    """What heavy tails add: terms for the loops, flat and in the type of the rows, and sums for each component."""

    terms: tuple[Array, ...]
    sums: int


NO_TAILS = TailTerms((), 0)


class Layout:
    """Parameters as the loops take them. Subclasses say which loops, and what these add up in."""

    sums: Callable[..., None]
    density: Callable[..., None]
    heavy_sums: Callable[..., None]

    def __init__(self, dtype: Any, mean: Array, factor: Array, logits: Array, tails: TailTerms) -> None:
        self.dtype, self.factor, self.logits, self.tails = dtype, factor * math.sqrt(0.5), logits, tails
        self.restarts, self.components, self.features = mean.shape
        weights = np.exp(logits - logits.max())
        self.centre = (np.tensordot(weights, mean, 2) / weights.sum()).astype(dtype)
        self.mean = mean - self.centre

    def padded(self) -> tuple[int, int]:
        """Components and features as the loops count them."""
        return self.components, self.features

    def size(self) -> Shape:
        return Shape(self.restarts, *self.padded(), self.features, _PANELS, *lanes(self.dtype.itemsize))

    def tiles(self) -> tuple[Array, ...]:
        """Room for a thread's tile: its rows twice, three numbers a component, and two a row."""
        size = self.size()
        counts = (size.features,) * 2 + (size.components,) * 3 + (1,) * 2
        return tuple(aligned(size.panels * size.width * count, self.dtype) for count in counts)

    def sums_tiles(self) -> tuple[Array, ...]:
        """The same for the loops that add up the sums."""
        return self.tiles()

    def loops(self) -> Callable[..., None]:
        """The loops that add up the sums."""
        return type(self).heavy_sums if self.tails.sums else type(self).sums

    def density_arguments(self) -> tuple[Array, ...]:
        """Factors, offsets and logits."""
        raise NotImplementedError

    def second_shapes(self) -> tuple[tuple[int, ...], ...]:
        """Shapes of the second moments of one restart."""
        raise NotImplementedError

    def scatter(self, *second: Array) -> Array:
        """Second moments -> (B, K or 1, ...)."""
        raise NotImplementedError

    def arguments(self) -> tuple[Array, ...]:
        """Means, what densities need, and what heavy tails do."""
        means = self.fill(self.mean, self.restarts, *self.padded())
        return means, *self.density_arguments(), *self.tails.terms

    def room(self) -> tuple[Array, ...]:
        components, features = self.padded()
        numbers = ((components,),) * (1 + self.tails.sums)
        shapes = (), *numbers, (components, features), *self.second_shapes()
        return tuple(np.zeros((self.restarts, *shape)) for shape in shapes)

    def finish(self, likelihood: Array, mass: Array, *rest: Array) -> tuple[Array, ...]:
        """What was added up, as log-likelihood, weight, shift, scatter and tails."""
        k, d, count = self.components, self.features, self.tails.sums
        tails, shift, second = rest[:count], rest[count], rest[count + 1 :]
        return likelihood, mass[:, :k], shift[:, :k, :d], self.scatter(*second), *tails

    def fill(self, array: Array, *shape: int, value: float = 0.0) -> Array:
        """The same numbers in a larger shape, flat and in the type of the rows."""
        out = np.full(shape, value, self.dtype)
        out[tuple(slice(n) for n in array.shape)] = array
        return out.reshape(-1)


class _Full(Layout):
    """One triangle a component."""

    sums, density = sums_loops.full_sums, density_loops.full_density
    heavy_sums = heavy_tails_loops.full_sums

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
    """One triangle a restart, repeated: with heavy tails, or for so many components that pairs would cost more."""

    def scatter(self, *second: Array) -> Array:
        return super().scatter(*second).sum(1, keepdims=True)


class _Tied(Layout):
    """One triangle a restart."""

    sums, density = sums_loops.tied_sums, density_loops.tied_density

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
        for k in range(1, self.components):  # pairs l < k; the loops fill the lower triangle
            apart = self.mean[:, k, None] - self.mean[:, :k]
            within += apart.swapaxes(-1, -2) @ (between[:, k, :k, None] * apart)
        return within[:, None]


class _Diagonal(Layout):
    """One factor a feature."""

    sums, density = sums_loops.diagonal_sums, density_loops.diagonal_density
    heavy_sums = heavy_tails_loops.diagonal_sums

    def __init__(self, dtype: Any, mean: Array, factor: Array, logits: Array, tails: TailTerms) -> None:
        super().__init__(dtype, mean, factor, logits, tails)
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

    sums = sums_loops.spherical_sums

    def __init__(self, dtype: Any, mean: Array, factor: Array, logits: Array, tails: TailTerms) -> None:
        super().__init__(dtype, mean, factor[..., None], logits, tails)

    def arguments(self) -> tuple[Array, ...]:
        precision = np.broadcast_to(self.factor[..., 0] ** 2, self.logits.shape)
        return tuple(np.ravel(a).astype(self.dtype) for a in (self.mean, precision, self.logits))

    def second_shapes(self) -> tuple[tuple[int, ...], ...]:
        return ((self.components,),)


class _WideFull(_Full):
    """One triangle a component, for rows of many features: sums about the exact means, of those rows that count."""

    sums = wide_loops.wide_full_sums

    def padded(self) -> tuple[int, int]:
        return self.components, -(-self.features // 4) * 4

    def sums_tiles(self) -> tuple[Array, ...]:
        """Room for a tile and the rows that count, some of them weighed, and a corner of products."""
        size = self.size()
        counts = wide_loops.HEIGHT * -(-size.features // size.width) * size.width, 4 * size.width
        return *_chosen(size, self.dtype), *(aligned(count, self.dtype) for count in counts)

    def arguments(self) -> tuple[Array, ...]:
        return np.ravel(self.mean + self.centre), *self.density_arguments()


class _WideDiagonal(_Diagonal):
    """One factor a feature, for rows of many features: moments about the centre where that is near all means."""

    def __init__(self, dtype: Any, mean: Array, factor: Array, logits: Array, tails: TailTerms) -> None:
        super().__init__(dtype, mean, factor, logits, tails)
        self.near = bool((np.square(self.mean * factor) <= _NEAR[dtype.itemsize]).all())

    def loops(self) -> Callable[..., None]:
        return wide_loops.wide_diagonal_sums if self.near else super().loops()

    def sums_tiles(self) -> tuple[Array, ...]:
        return _chosen(self.size(), self.dtype) if self.near else super().sums_tiles()

    def finish(self, likelihood: Array, mass: Array, *rest: Array) -> tuple[Array, ...]:
        first, second = rest
        if self.near:
            second = second - self.mean * (2 * first - mass[..., None] * self.mean)
            first = first - mass[..., None] * self.mean
        return super().finish(likelihood, mass, first, second)


class _WideSpherical(_Spherical):
    """One factor, for rows of many features: shifts from first moments about the centre."""

    sums = wide_loops.wide_spherical_sums

    def sums_tiles(self) -> tuple[Array, ...]:
        size = self.size()
        return *_chosen(size, self.dtype), aligned(size.panels * size.width * size.components, self.dtype)

    def finish(self, likelihood: Array, mass: Array, *rest: Array) -> tuple[Array, ...]:
        first, second = rest
        return super().finish(likelihood, mass, first - mass[..., None] * self.mean, second)


class _SphericalTails(_Diagonal):
    """One factor, repeated for each feature."""

    def __init__(self, dtype: Any, mean: Array, factor: Array, logits: Array, tails: TailTerms) -> None:
        repeated = np.broadcast_to(factor[..., None], (*factor.shape, mean.shape[-1]))
        super().__init__(dtype, mean, repeated, logits, tails)

    def scatter(self, *second: Array) -> Array:
        return super().scatter(*second).sum(-1)


def layout(plan: Plan, heavy: bool) -> type[Layout]:
    """The layout of a plan, with heavy tails or without."""
    components, features = plan.mean.shape[1:]
    wide = features >= _WIDE and not heavy
    simple = {DIAGONAL: _Diagonal, SPHERICAL: _SphericalTails if heavy else _Spherical}
    if plan.form is not FULL:
        return {DIAGONAL: _WideDiagonal, SPHERICAL: _WideSpherical}[plan.form] if wide else simple[plan.form]
    if plan.factor.shape[1] == components:
        return _WideFull if wide else _Full
    return _FullPooled if heavy or components > features**2 else _Tied


def _chosen(size: Shape, dtype: Any) -> tuple[Array, ...]:
    """Room for a tile, the rows that count for a component, and their claims."""
    rows = size.panels * size.width
    counts = rows * size.features, rows * size.components, rows, rows + 1
    columns, joint, share, claims = (aligned(count, dtype) for count in counts)
    return columns, joint, share, np.zeros(rows + 1, np.int64), claims


def _symmetric(lower: Array) -> Array:
    return np.tril(lower) + np.tril(lower, -1).swapaxes(-1, -2)


def _even(count: int) -> int:
    return count + count % 2


def aligned(count: int, dtype: Any) -> Array:
    """Zeros that begin where a register loads from one cache line."""
    space = np.zeros(count + _LINE // dtype.itemsize, dtype)
    start = -space.ctypes.data % _LINE // dtype.itemsize
    return space[start : start + count]
