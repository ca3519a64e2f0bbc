r"""A tile of rows under regressions: log joints, responsibilities, and sums of the design weighed by them.

A tile is a few panels of rows. Its columns are the design u, a column of ones first where there is an intercept, then
target, trials, and but for a linear law sixteenth powers of the design; all lie panel by panel, so that the lanes of a
panel are rows. Sums of a component are :math:`\sum r`, :math:`\sum r e^2`, then :math:`\sum r e u`,
:math:`\sum r u^{16}`, and the lower triangles of :math:`\sum r A'' u u^\top` and :math:`\sum r n u u^\top`, with e the
residual and n the trials.
"""

from typing import Any, NamedTuple

from ..native.panels import beyond, fma, load_panel, softmax, splat, store, total
from ..native.program import plain
from .laws import LINEAR, LOGISTIC, read

__all__ = ["Shape", "Tile", "add_tile", "columns_of", "sums_of"]


class Shape(NamedTuple):
    """Restarts, components, columns of the design and those of covariates, panels in a tile, rows in a panel, law."""

    restarts: Any
    components: Any
    design: Any
    covariates: Any
    panels: Any
    width: Any
    law: Any


class Tile(NamedTuple):
    """Room for a tile: its columns and the weights of rows; by component; and the design, weighed."""

    columns: Any
    share: Any
    joint: Any
    gap: Any
    bend: Any
    weighed: Any


@plain
def columns_of(design):
    """Columns of a tile for so many of the design."""
    return 2 * design + 2


@plain
def sums_of(design):
    """Numbers that the sums of a component are."""
    return 2 + 2 * design + 2 * design * design


@plain
def add_tile(tile, level, slope, precision, logits, size, likelihood, sums):
    """Adds the rows of a tile to the log-likelihoods (B,) and to the sums (B, K, ...)."""
    for b in range(size.restarts):
        first = b * size.components
        likelihood[b] += believed(tile, level, slope, precision, logits, first, size)
        for k in range(size.components):
            add_moments(tile, k, size, beyond(sums, (first + k) * sums_of(size.design)))


@plain
def believed(tile, level, slope, precision, logits, first, size):
    """Log joints of a tile under the components of a restart become responsibilities; returns the log-likelihood."""
    found, width = splat(0.0, load_panel(tile.share, 0)), size.width
    for p in range(size.panels):
        at = p * columns_of(size.design) * width
        y = load_panel(tile.columns, at + size.design * width)
        trials = load_panel(tile.columns, at + (size.design + 1) * width)
        for k in range(size.components):
            c, to = first + k, (p * size.components + k) * width
            predictor = splat(level[c], y)
            for j in range(size.covariates):
                u = load_panel(tile.columns, at + (size.design - size.covariates + j) * width)
                predictor = fma(slope[c * size.covariates + j], u, predictor)
            density, gap, bend = read(size.law, y, trials, predictor, precision[c])
            store(tile.joint, to, density + splat(logits[c], y))
            store(tile.gap, to, gap)
            store(tile.bend, to, bend)
        density = softmax(tile.joint, p * size.components * width, size.components, width)
        found = fma(load_panel(tile.share, p * width), density, found)
    return total(found)


@plain
def add_moments(tile, k, size, sums):
    """Adds what a tile says of a component."""
    q, square = size.design, size.design * size.design
    claim(tile, k, size, sums)
    for j in range(q):
        add_column(tile, tile.gap, k, j, size, beyond(sums, 2 + j))
    if size.law != LINEAR:
        for j in range(q):
            add_column(tile, tile.joint, k, q + 2 + j, size, beyond(sums, 2 + q + j))
    weigh(tile, tile.bend, k, size)
    add_products(tile, size, beyond(sums, 2 + 2 * q))
    if size.law == LOGISTIC:
        by_trials(tile, k, size)
        weigh(tile, tile.bend, k, size)
        add_products(tile, size, beyond(sums, 2 + 2 * q + square))


@plain
def claim(tile, k, size, sums):
    """Responsibilities count by their rows, residuals and curvatures by responsibilities; adds those, and squares."""
    mass = square = splat(0.0, load_panel(tile.share, 0))
    for p in range(size.panels):
        at = (p * size.components + k) * size.width
        r, gap = load_panel(tile.share, p * size.width) * load_panel(tile.joint, at), load_panel(tile.gap, at)
        store(tile.joint, at, r)
        store(tile.gap, at, r * gap)
        store(tile.bend, at, r * load_panel(tile.bend, at))
        mass, square = mass + r, fma(r * gap, gap, square)
    sums[0] += total(mass)
    sums[1] += total(square)


@plain
def add_column(tile, by, k, column, size, out):
    """Adds the products of a column with numbers of a component to a sum."""
    found = splat(0.0, load_panel(tile.share, 0))
    for p in range(size.panels):
        at, row = (p * size.components + k) * size.width, p * columns_of(size.design) + column
        found = fma(load_panel(by, at), load_panel(tile.columns, row * size.width), found)
    out[0] += total(found)


@plain
def by_trials(tile, k, size):
    """Puts responsibilities times trials in the place of weighed curvatures."""
    for p in range(size.panels):
        at = (p * size.components + k) * size.width
        trials = load_panel(tile.columns, (p * columns_of(size.design) + size.design + 1) * size.width)
        store(tile.bend, at, load_panel(tile.joint, at) * trials)


@plain
def weigh(tile, by, k, size):
    """The design times numbers of a component."""
    for p in range(size.panels):
        weight = load_panel(by, (p * size.components + k) * size.width)
        for j in range(size.design):
            u = load_panel(tile.columns, (p * columns_of(size.design) + j) * size.width)
            store(tile.weighed, (p * size.design + j) * size.width, weight * u)


@plain
def add_products(tile, size, sums):
    """Adds the products of the weighed design with the design, the lower triangle."""
    for i in range(size.design):
        for j in range(i + 1):
            found = splat(0.0, load_panel(tile.share, 0))
            for p in range(size.panels):
                left = load_panel(tile.weighed, (p * size.design + i) * size.width)
                right = load_panel(tile.columns, (p * columns_of(size.design) + j) * size.width)
                found = fma(left, right, found)
            sums[i * size.design + j] += total(found)
