r"""A panel of Gaussian vectors in boxes of one size, narrow beside their scales: rounded and binned rows.

In a box with middle m and half sides h, :math:`x = m + h t` and :math:`L^{-1}(x - \mu) = u + S t`, the density is
:math:`\phi(u)\,e^{-t'a}\,e^{-t'S'St/2}` with slopes :math:`a = S'u`. At the nodes of a product of Gauss-Legendre rules
the last factor is one number for all rows, and the middle one a product over coordinates: so there are as many
exponentials as nodes in a coordinate, and the rest are multiply-adds, coordinate by coordinate.
"""

import math

from ..native.panels import WIDTH, beyond, exp, fma, load_panel, splat, store
from ..native.program import plain
from .normal_law import place_of, weight_of

__all__ = ["MOST_NODES", "STRETCH", "constants", "level_of", "narrow"]

MOST_NODES = 16
STRETCH = 3 * MOST_NODES * WIDTH  # numbers of a coordinate


@plain
def level_of(bend, slope):
    """Nodes that serve a coordinate to ten digits, by its half side in scales, and its slope; none beyond."""
    if slope < 1.2 and slope + 3.6 * bend < 2.2:
        return 6
    if slope < 2.6 and bend < 1.0:
        return 8
    if slope < 8.0 and bend < 2.0:
        return 12
    return 16 if slope < 16.0 and bend < 2.5 else 0


@plain
def constants(within, counts, given, out):
    """Weights of the nodes times the factor that all rows share; ``within`` is S'S, (3, 3)."""
    n1, n2, n3 = counts
    for i in range(n1):
        x = place_of(given, n1, i)
        for j in range(n2):
            y = place_of(given, n2, j)
            weight = weight_of(given, n1, i) * weight_of(given, n2, j)
            before = x * x * within[0] + y * y * within[4] + 2 * x * y * within[1]
            cross = 2 * (x * within[2] + y * within[5])
            for m in range(n3):
                t = place_of(given, n3, m)
                exponent = -0.5 * (before + t * (cross + t * within[8]))
                out[(i * n2 + j) * n3 + m] = weight * weight_of(given, n3, m) * math.exp(exponent)


@plain
def powers(slope, count, given, room):
    """Writes the exponential at the nodes of a coordinate, and its products with the place and its square."""
    for i in range(count):
        t = place_of(given, count, i)
        value = exp(splat(-t, slope) * slope)
        store(room, 3 * i * WIDTH, value)
        store(room, (3 * i + 1) * WIDTH, splat(t, slope) * value)
        store(room, (3 * i + 2) * WIDTH, splat(t * t, slope) * value)


@plain
def line(shared, at, room, count):
    """Sums over the last coordinate: of one, its place and its square."""
    none = splat(0.0, load_panel(room, 0))
    zeroth, first, second = none, none, none
    for m in range(count):
        c = shared[at + m]
        zeroth = fma(c, load_panel(room, 3 * m * WIDTH), zeroth)
        first = fma(c, load_panel(room, (3 * m + 1) * WIDTH), first)
        second = fma(c, load_panel(room, (3 * m + 2) * WIDTH), second)
    return zeroth, first, second


@plain
def narrow(slopes, counts, shared, given, room, sums):
    """Writes the ten sums of a panel: of one, t, and t t'."""
    n1, n2, n3 = counts
    none = splat(0.0, load_panel(slopes, 0))
    for axis in range(3):
        count = n1 if axis == 0 else n2 if axis == 1 else n3
        powers(load_panel(slopes, axis * WIDTH), count, given, beyond(room, axis * STRETCH))
    for i in range(10):
        store(sums, i * WIDTH, none)
    for i in range(n1):
        a, b, c, d, e, f = none, none, none, none, none, none
        for j in range(n2):
            zeroth, first, second = line(shared, (i * n2 + j) * n3, beyond(room, 2 * STRETCH), n3)
            at = beyond(room, STRETCH + 3 * j * WIDTH)
            e0, e1, e2 = load_panel(at, 0), load_panel(at, WIDTH), load_panel(at, 2 * WIDTH)
            a, b, c = fma(e0, zeroth, a), fma(e1, zeroth, b), fma(e2, zeroth, c)
            d, e, f = fma(e0, first, d), fma(e1, first, e), fma(e0, second, f)
        add_plane(sums, beyond(room, 3 * i * WIDTH), a, b, c, d, e, f)


@plain
def add_plane(sums, at, a, b, c, d, e, f):
    """Adds what the last two coordinates sum to at a place of the first."""
    e0, e1, e2 = load_panel(at, 0), load_panel(at, WIDTH), load_panel(at, 2 * WIDTH)
    keep(sums, 0, e0, a)
    keep(sums, 1, e1, a)
    keep(sums, 2, e0, b)
    keep(sums, 3, e0, d)
    keep(sums, 4, e2, a)
    keep(sums, 5, e1, b)
    keep(sums, 6, e0, c)
    keep(sums, 7, e1, d)
    keep(sums, 8, e0, e)
    keep(sums, 9, e0, f)


@plain
def keep(sums, i, weight, value):
    """Adds to one of the sums."""
    store(sums, i * WIDTH, fma(weight, value, load_panel(sums, i * WIDTH)))
