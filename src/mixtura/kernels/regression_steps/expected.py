r"""Means of lines over the posterior of components, for panels of rows.

With residuals :math:`t_k = x - \mu_k`, log joints :math:`l_k - |W_k t_k|^2` of triangles W and lines
:math:`a_k + G_k t_k`, a row has :math:`\sum_k r_k (a_k + G_k t_k)`. Rows are taken a panel at a time, feature by
feature, so that lanes are rows; residuals are about each component's own mean, so components a long way off spoil
nothing.
"""

import numpy as np
from llvmlite import ir

from ..native.machine import called
from ..native.panels import WIDTH, beyond, fma, load_panel, softmax, splat, store
from ..native.program import plain
from ..native.values import INT, NUMBERS, VOID, WHOLE
from ..small_steps.calls import Array, pointers

__all__ = ["expect_lines"]


@plain
def residuals(columns, mean, features, width, t):
    """Rows of a panel minus a mean."""
    for d in range(features):
        row = load_panel(columns, d * width)
        store(t, d * width, row - splat(mean[d], row))


@plain
def joint_of(t, factor, logit, features, width):
    """A log joint: a constant less the squared length of residuals times a triangle, two of its rows at a time."""
    value = splat(logit, load_panel(t, 0))
    for i in range(0, features - 1, 2):
        first = second = splat(0.0, value)
        row = i * features
        for j in range(i + 1):
            one = load_panel(t, j * width)
            first, second = fma(factor[row + j], one, first), fma(factor[row + features + j], one, second)
        second = fma(factor[row + features + i + 1], load_panel(t, (i + 1) * width), second)
        value = value - fma(first, first, second * second)
    if features % 2 == 1:
        last = splat(0.0, value)
        for j in range(features):
            last = fma(factor[(features - 1) * features + j], load_panel(t, j * width), last)
        value = value - last * last
    return value


@plain
def add_lines(r, t, level, slope, features, lines, width, found):
    """Adds a component's lines at the residuals of a panel, by its responsibilities."""
    for f in range(lines):
        value = splat(level[f], r)
        for d in range(features):
            value = fma(slope[f * features + d], load_panel(t, d * width), value)
        store(found, f * width, fma(r, value, load_panel(found, f * width)))


@plain
def read_panel(columns, mean, factor, logits, level, slope, components, features, lines, t, joint, found):
    """The means of lines for a panel of rows."""
    width = WIDTH
    for k in range(components):
        residuals(columns, beyond(mean, k * features), features, width, t)
        triangle = beyond(factor, k * features * features)
        store(joint, k * width, joint_of(t, triangle, logits[k], features, width))
    softmax(joint, 0, components, width)
    for f in range(lines):
        store(found, f * width, splat(0.0, load_panel(joint, 0)))
    for k in range(components):
        residuals(columns, beyond(mean, k * features), features, width, t)
        of = beyond(level, k * lines), beyond(slope, k * lines * features)
        add_lines(load_panel(joint, k * width), t, *of, features, lines, width, found)


@plain
def expected(x, begin, stop, mean, factor, logits, level, slope, sizes, scratch, out):
    """The means of lines for the rows [begin, stop); see `expect_lines`."""
    components, features, lines = sizes[0], sizes[1], sizes[2]
    t = beyond(scratch, features * WIDTH)
    joint = beyond(t, features * WIDTH)
    found = beyond(joint, components * WIDTH)
    for row in range(begin, stop, WIDTH):
        rows = stop - row if stop - row < WIDTH else WIDTH
        for lane in range(rows):
            for d in range(features):
                scratch[d * WIDTH + lane] = x[(row + lane) * features + d]
        read_panel(scratch, mean, factor, logits, level, slope, components, features, lines, t, joint, found)
        for lane in range(rows):
            for f in range(lines):
                out[(row + lane) * lines + f] = found[f * WIDTH + lane]


_F = NUMBERS
_EXPECTED = ir.FunctionType(VOID, [_F, INT, INT, _F, _F, _F, _F, _F, WHOLE, _F, _F])


def expect_lines(
    x: Array, given: tuple[Array, Array, Array, Array, Array], sizes: Array, out: Array, begin: int, stop: int
) -> None:
    """Writes the means of lines of the rows [begin, stop) of (N, D) into (N, F).

    Arguments:
        x: The rows.
        given: Means (K, D), triangles (K, D, D) by the root of two, logits (K,), levels (K, F) and slopes (K, F, D).
        sizes: K, D and F.
        out: Where they are written.
    """
    components, features, lines = sizes.tolist()
    scratch = np.zeros((2 * features + components + lines) * WIDTH)
    rows, *more = pointers(x, *given, sizes, scratch, out)
    called(expected, _EXPECTED)(rows, begin, stop, *more)
