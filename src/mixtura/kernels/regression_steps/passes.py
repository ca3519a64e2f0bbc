"""One pass over rows of regressions: they are read in tiles, column by column, and every restart adds up each tile."""

from typing import Any

import numpy as np
from llvmlite import ir

from ..native.machine import called
from ..native.panels import WIDTH, beyond, load_panel, store
from ..native.program import plain
from ..native.values import INT, NUMBERS, REAL, VOID, WHOLE
from ..small_steps.calls import Array, pointers
from .laws import LINEAR, base
from .sums import Shape, Tile, add_tile, columns_of, sums_of

__all__ = ["PANELS", "WIDTH", "Shape", "add_rows", "numbers"]

PANELS = 4
"""Panels in a tile: what the first cache holds of one, with three components and some covariates."""


@plain
def furnished(scratch, size):
    """Scratch by what it is for."""
    rows = size.panels * size.width
    share = beyond(scratch, columns_of(size.design) * rows)
    joint = beyond(share, rows)
    gap = beyond(joint, size.components * rows)
    bend = beyond(gap, size.components * rows)
    return Tile(scratch, share, joint, gap, bend, beyond(bend, size.components * rows))


def room(size: Shape) -> int:
    """Numbers of scratch for a tile."""
    columns: Any = columns_of(size.design)
    return size.panels * size.width * (columns + 1 + 3 * size.components + size.design)


def numbers(design: int) -> int:
    """How many numbers the sums of a component are, with so many columns of the design."""
    found: Any = sums_of(design)
    return found


@plain
def gather(x, features, begin, stop, weight, weighted, places, centre, total_count, size, tile):
    """Rows [begin, stop) as columns about the centre; rows after the last weigh nothing."""
    width, first, target = size.width, size.design - size.covariates, size.covariates
    for p in range(size.panels):
        out, row = beyond(tile.columns, p * columns_of(size.design) * width), begin + p * width
        rows = stop - row if stop - row < width else width
        for lane in range(width):
            tile.share[p * width + lane] = 0.0 if lane >= rows else weight[row + lane] if weighted else 1.0
        fill(1.0, out, first * width)
        for j in range(size.covariates):
            take(x, row, rows, features, places[j], centre[j], beyond(out, (first + j) * width), width)
        take(x, row, rows, features, places[target], 0.0, beyond(out, size.design * width), width)
        fill(total_count, beyond(out, (size.design + 1) * width), width)
        if places[target + 1] >= 0:
            take(x, row, rows, features, places[target + 1], 0.0, beyond(out, (size.design + 1) * width), width)
        if size.law != LINEAR:
            raise_powers(out, size)


@plain
def fill(value, out, count):
    """So many numbers of one value."""
    for i in range(count):
        out[i] = value


@plain
def take(x, row, rows, features, place, less, out, width):
    """A column of so many rows, less a number; zeros after the last."""
    for lane in range(rows):
        out[lane] = x[(row + lane) * features + place] - less
    for lane in range(rows if rows > 0 else 0, width):
        out[lane] = 0.0


@plain
def raise_powers(columns, size):
    """Sixteenth powers of the design of a panel."""
    for j in range(size.design):
        u = load_panel(columns, j * size.width)
        for _ in range(4):
            u = u * u
        store(columns, (size.design + 2 + j) * size.width, u)


@plain
def bases(tile, factorials, count, size):
    """What the log-likelihood of a tile has beside, the same for all components."""
    found = 0.0
    for p in range(size.panels):
        at = (p * columns_of(size.design) + size.design) * size.width
        for lane in range(size.width):
            weight = tile.share[p * size.width + lane]
            if weight > 0.0:
                y, trials = tile.columns[at + lane], tile.columns[at + size.width + lane]
                found += weight * base(size.law, y, trials, factorials, count)
    return found


@plain
def added(
    x, begin, stop, weight, places, centre, total_count, level, slope, precision, logits, factorials, sizes, scratch,
    likelihood, sums,
):  # fmt: skip
    """Adds the rows [begin, stop); see `add_rows`."""
    size = Shape(sizes[0], sizes[1], sizes[2], sizes[3], sizes[4], sizes[5], sizes[6])
    tile, features, weighted, count = furnished(scratch, size), sizes[7], sizes[8], sizes[9]
    beside = 0.0
    for row in range(begin, stop, size.panels * size.width):
        gather(x, features, row, stop, weight, weighted, places, centre, total_count, size, tile)
        add_tile(tile, level, slope, precision, logits, size, likelihood, sums)
        if size.law != LINEAR:
            beside += bases(tile, factorials, count, size)
    for b in range(size.restarts):
        likelihood[b] += beside


_F, _I = NUMBERS, WHOLE
_ADDED = ir.FunctionType(VOID, [_F, INT, INT, _F, _I, _F, REAL, _F, _F, _F, _F, _F, _I, _F, _F, _F])


def add_rows(
    x: Array,
    weight: Array,
    places: Array,
    centre: Array,
    total_count: float,
    effects: tuple[Array, Array, Array, Array],
    factorials: Array,
    size: Shape,
    likelihood: Array,
    sums: Array,
    begin: int,
    stop: int,
) -> None:
    """Adds the rows [begin, stop) of (N, D) to log-likelihoods (B,) and to the sums of components (B, K, ...).

    Arguments:
        x: The rows.
        weight: Their weights, (N,), or none where each counts once.
        places: The columns of the covariates, of the target, and of trials, -1 where all have as many.
        centre: What is taken from each covariate, (P,).
        total_count: The number of trials where there is no column of them.
        effects: Levels (B, K) at the centre, slopes (B, K, P), precisions 1/s (B, K) and log weights with what the
            law of a component has beside, (B, K).
        factorials: Logarithms of 0!, 1!, ..., so many.
        size: The shape of it all.
        likelihood, sums: What is added to.
    """
    sizes = np.array([*size, x.shape[1], weight.size > 0, len(factorials)])
    given = x, weight, places, centre, *effects, factorials, sizes, np.empty(room(size)), likelihood, sums
    rows, weights, columns, centres, *more = pointers(*given)
    called(added, _ADDED)(rows, begin, stop, weights, columns, centres, total_count, *more)
