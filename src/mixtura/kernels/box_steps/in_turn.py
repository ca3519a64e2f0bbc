r"""A panel of Gaussian vectors in boxes, one coordinate after the other, the last exactly.

With :math:`x = Lz`, the limits of :math:`z_1` are given, those of :math:`z_2` depend on it, those of :math:`z_3` on
both. The first two are put at Gauss-Legendre nodes of what matters of their intervals. A panel holds, for each of its
boxes, limits in units of L's diagonal and what L has beside it in the same units, then ten sums: of one, z, and z z'.
Boxes of fewer coordinates stand at the end, behind coordinates with one node at zero.
"""

from ..native.panels import WIDTH, exp, fma, largest, load_panel, splat, store, total, where_negative
from ..native.program import plain
from .normal_law import between, limited, place_of, spanned, weight_of

__all__ = ["LIMITS", "SUMS", "in_turn"]

LIMITS, SUMS = 9, 10
_WIDE = 200.0  # logarithms that shares may stand above those before them


@plain
def in_turn(lanes, sums, first_rule, second_rule, given):
    """Writes the ten sums of a panel, and returns the logarithm of their unit.

    A rule is how many nodes a piece of an interval has, and how many pieces there are.
    """
    one = splat(1.0, load_panel(lanes, 0))
    for i in range(SUMS):
        store(sums, i * WIDTH, splat(0.0, one))
    top = splat(-1e300, one)
    start, half = spanned(load_panel(lanes, 0), load_panel(lanes, WIDTH))
    for i in range(first_rule[0] * first_rule[1]):
        place, weight = node(given, first_rule, i)
        z, from_first = fma(half, splat(place, one), start), half * splat(weight, one)
        done = load_panel(lanes, 6 * WIDTH) * z
        low, size = spanned(load_panel(lanes, 2 * WIDTH) - done, load_panel(lanes, 3 * WIDTH) - done)
        for j in range(second_rule[0] * second_rule[1]):
            place, weight = node(given, second_rule, j)
            y, both = fma(size, splat(place, one), low), from_first * size * splat(weight, one)
            top = add_node(lanes, sums, z, y, both, top, given)
    return top


@plain
def node(given, rule, i):
    """Where, in half lengths from the lower end, a node is, and its weight."""
    count, pieces = rule
    place = 1.0 + place_of(given, count, i % count) + 2.0 * (i // count)
    return place / pieces, weight_of(given, count, i % count) / pieces


@plain
def add_node(lanes, sums, z, y, weight, top, given):
    """Adds a place of the first two coordinates; returns the logarithm of the unit, which may have grown."""
    done = fma(load_panel(lanes, 7 * WIDTH), z, load_panel(lanes, 8 * WIDTH) * y)
    low, high = limited(load_panel(lanes, 4 * WIDTH) - done, load_panel(lanes, 5 * WIDTH) - done)
    level, mass, first, second = between(low, high, given)
    level = level - splat(0.5, z) * fma(z, z, y * y)
    above = top + splat(_WIDE, z) - level
    if total(where_negative(above, splat(1.0, z), splat(0.0, z))) > 0.0:
        top = rescaled(sums, top, level)
    share = exp(level - top) * weight
    mass, first = share * mass, share * first
    keep(sums, 0, mass)
    keep(sums, 1, mass * z)
    keep(sums, 2, mass * y)
    keep(sums, 3, first)
    keep(sums, 4, mass * z * z)
    keep(sums, 5, mass * z * y)
    keep(sums, 6, mass * y * y)
    keep(sums, 7, first * z)
    keep(sums, 8, first * y)
    keep(sums, 9, share * second)
    return top


@plain
def keep(sums, i, value):
    """Adds to one of the sums."""
    store(sums, i * WIDTH, load_panel(sums, i * WIDTH) + value)


@plain
def rescaled(sums, top, level):
    """The sums in a larger unit, whose logarithm is returned."""
    larger = largest(top, level)
    scale = exp(top - larger)
    for i in range(SUMS):
        store(sums, i * WIDTH, load_panel(sums, i * WIDTH) * scale)
    return larger
