"""Rows in panels, group by group, feature by feature, about the mean of each column in its group, and what is left.

Arrays are flat. A group begins a panel; what fills its last one is zero, and has no weight.
"""

from llvmlite import ir

from ..native.machine import called
from ..native.panels import WIDTH, beyond
from ..native.program import plain
from ..native.values import INT, NUMBERS, VOID, WHOLE
from .calls import Array, pointers

__all__ = ["lay"]


@plain
def summed(weight, rows):
    """The weight of rows."""
    total = 0.0
    for n in range(rows):
        total += weight[n]
    return total


@plain
def above(x, weight, rows, features, d, level):
    """By how much a column is above a level, on average but for the weight of all rows."""
    total = 0.0
    for n in range(rows):
        total += weight[n] * (x[n * features + d] - level)
    return total


@plain
def squares(x, weight, rows, features, d, level):
    """The sum of the squares of a column about a level."""
    total = 0.0
    for n in range(rows):
        lag = x[n * features + d] - level
        total += weight[n] * lag * lag
    return total


@plain
def placed(x, weight, rows, features, d, level, columns, shares):
    """Writes a column about a level, and the weights, where there is room of zeros for them."""
    for p in range((rows + WIDTH - 1) // WIDTH):
        begin, where = p * WIDTH, (p * features + d) * WIDTH
        for n in range(begin, begin + WIDTH if begin + WIDTH < rows else rows):
            shares[n] = weight[n]
            columns[where + n - begin] = x[n * features + d] - level if weight[n] > 0.0 else 0.0


@plain
def laid(
    x, weight, sizes, places, features, centred, columns, shares, total, origin, variance, first, last
):  # fmt: skip
    """Lays out the groups [first, last), all arrays given by where they are; see `lay`."""
    begin = 0
    for g in range(first, last):
        rows, panel, at = sizes[g], places[2 * g], g * features
        own, counts = beyond(x, begin * features), beyond(weight, begin)
        total[g] = summed(counts, rows)
        for d in range(features):
            mean = above(own, counts, rows, features, d, 0.0) / total[g]
            mean += above(own, counts, rows, features, d, mean) / total[g]
            variance[at + d] = squares(own, counts, rows, features, d, mean) / total[g]
            origin[at + d] = mean if centred != 0 else 0.0
            there = beyond(columns, panel * features * WIDTH)
            placed(own, counts, rows, features, d, origin[at + d], there, beyond(shares, panel * WIDTH))
        begin += rows


_F, _I = NUMBERS, WHOLE
_LAID = ir.FunctionType(VOID, [_F, _F, _I, _I, INT, INT, _F, _F, _F, _F, _F, INT, INT])


def lay(
    x: Array,
    weight: Array,
    sizes: Array,
    places: Array,
    centred: bool,
    columns: Array,
    shares: Array,
    total: Array,
    origin: Array,
    variance: Array,
) -> None:
    """Lays out rows of groups.

    Arguments:
        x, weight: The rows, those of a group together, (N, D), and their weights, (N,).
        sizes: How many rows each group has, (G,).
        places: The first panel of each group and the one after the last, (G, 2).
        centred: Whether columns are moved, so that their means are zero.
        columns, shares: Room of zeros for the rows and their weights in panels.
        total: Room for the weight of each group, (G,).
        origin, variance: Room for what was subtracted, and the variance of each column, (G, D).
    """
    given = pointers(x, weight, sizes, places)
    found = pointers(columns, shares, total, origin, variance)
    called(laid, _LAID)(*given, x.shape[1], int(centred), *found, 0, len(sizes))
