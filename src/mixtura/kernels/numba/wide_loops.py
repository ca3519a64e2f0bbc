r"""The sums of a pass for Gaussians over rows of many features, compiled for a CPU.

Most responsibilities in many dimensions are next to nothing. A row is left out of a component's sums where
:math:`r_{nk} \le 2^{-60} \sum_m r_{mk}`, the sum being over the rows so far: below rounding. The rest is read from the
table itself. Under full matrices :math:`\sqrt{r_{nk}} (x_n - \mu_k)` is kept for a few rows, and their products are
formed four rows of the matrix by a panel of its columns at a time.

Diagonal matrices and round ones need :math:`\sum_n r_{nk} t_n` and :math:`\sum_n r_{nk} t_n^2` about the common centre,
:math:`t_n = x_n - c`, from which those about :math:`\mu_k` follow,

.. math:: \sum_n r_{nk} (x_n - \mu_k)^2 = \sum_n r_{nk} t_n^2 - g_k \big(2 \sum_n r_{nk} t_n - g_k \sum_n r_{nk}\big),
          \qquad g_k = \mu_k - c .

That loses the digits of :math:`g_k^2 / s_k^2`, so it is asked for only where these are few, as `layouts` sees
beforehand; elsewhere the loops about each mean serve. Where many rows of a tile count, moments are added up from
the columns, with a row in each lane; where few do, from these rows, with a feature in each lane.
"""

import math

from .joints import believe, gather, kernel, part, take
from .moments import claim, disperse
from .vector import fma, load_panel, number, splat, store, total
from .vector_lanes import exceeding, how_many, trailing
from .vector_memory import EXACT, load_exact, store_rounded
from .wide_joints import wide_diagonal_joint, wide_full_joint, wide_spherical_joint

__all__ = ["HEIGHT", "wide_diagonal_sums", "wide_full_sums", "wide_spherical_sums"]

HEIGHT = 64  # rows of which products are formed at a time
_SQUARE = 8  # columns of a tile that stay in the cache; even
_MANY = 3  # times the work of a row and component is what it takes where these are picked out
_ROUNDING = 2.0**-60


@kernel
def wide_full_sums(
    x, begin, stop, weight, centre, mean, factor, offset, logits, size, tiles,
    likelihood, mass, shift, scatter,
):  # fmt: skip
    """Sums over rows [begin, stop), a triangle a component, added to (B,), (B, K), (B, K, D), (B, K, D, D)."""
    columns, joint, share, chosen, claims, y, corner = tiles
    for row in range(begin, stop, share.size):
        gather(x, row, stop, centre, size, columns)
        take(weight, row, stop, share)
        for b in range(size.restarts):
            wide_full_joint(columns, factor, offset, logits, b, size, joint)
            likelihood[b] += believe(joint, size, share)
            claim(joint, size, share, mass[b])
            for k in range(size.components):
                count, m = choose(joint, k, size, mass[b, k] * _ROUNDING, chosen, claims), b * size.components + k
                for first in range(0, count, HEIGHT):
                    few = min(HEIGHT, count - first)
                    weigh_rows(x, row, chosen, claims, first, few, mean, m * size.real, size, y, shift[b, k])
                    gram_rows(y, few, size, corner, scatter[b, k])


@kernel
def wide_diagonal_sums(
    x, begin, stop, weight, centre, mean, factor, offset, logits, size, tiles,
    likelihood, mass, first, second,
):  # fmt: skip
    """Sums over rows [begin, stop) about the centre, added to (B,), (B, K), (B, K, D), (B, K, D)."""
    columns, joint, share, chosen, claims = tiles
    for row in range(begin, stop, share.size):
        gather(x, row, stop, centre, size, columns)
        take(weight, row, stop, share)
        for b in range(size.restarts):
            ahead = (row + share.size) * size.real
            wide_diagonal_joint(x, ahead, columns, factor, offset, logits, b, size, joint)
            likelihood[b] += believe(joint, size, share)
            claim(joint, size, share, mass[b])
            if few(joint, size, mass[b]):
                for k in range(size.components):
                    count = choose(joint, k, size, mass[b, k] * _ROUNDING, chosen, claims)
                    powers_of_rows(x, row, chosen, claims, count, centre, first[b, k], second[b, k])
            else:
                powers(columns, joint, size, first[b], second[b])


@kernel
def wide_spherical_sums(
    x, begin, stop, weight, centre, mean, precision, logits, size, tiles,
    likelihood, mass, first, scatter,
):  # fmt: skip
    """Sums over rows [begin, stop), the first about the centre, added to (B,), (B, K), (B, K, D), (B, K)."""
    columns, joint, share, chosen, claims, squared = tiles
    for row in range(begin, stop, share.size):
        gather(x, row, stop, centre, size, columns)
        take(weight, row, stop, share)
        for b in range(size.restarts):
            ahead = (row + share.size) * size.real
            wide_spherical_joint(x, ahead, columns, mean, precision, logits, b, size, joint, squared)
            likelihood[b] += believe(joint, size, share)
            claim(joint, size, share, mass[b])
            disperse(joint, squared, size, scatter[b])
            if few(joint, size, mass[b]):
                for k in range(size.components):
                    count = choose(joint, k, size, mass[b, k] * _ROUNDING, chosen, claims)
                    firsts_of_rows(x, row, chosen, claims, count, centre, first[b, k])
            else:
                firsts(columns, joint, size, first[b])


@part
def powers(columns, joint, size, first, second):
    """Adds the sums of r x and of r x^2 over a tile, for two components at a time."""
    for left in range(0, size.features, _SQUARE):
        for k in range(0, size.components, 2):
            last = min(1, size.components - 1 - k)
            for d in range(left, min(left + _SQUARE, size.features)):
                a = splat(0.0, load_panel(columns, 0))
                b, c, e = a, a, a
                for p in range(size.panels):
                    t, at = load_panel(columns, (p * size.features + d) * size.width), p * size.components + k
                    r, s = load_panel(joint, at * size.width), load_panel(joint, (at + last) * size.width)
                    u = t * t
                    a, b, c, e = fma(r, t, a), fma(r, u, b), fma(s, t, c), fma(s, u, e)
                first[k, d] += total(a)
                second[k, d] += total(b)
                if last:
                    first[k + 1, d] += total(c)
                    second[k + 1, d] += total(e)


@part
def firsts(columns, joint, size, first):
    """Adds the sum of r x over a tile, for two components and two features at a time."""
    for left in range(0, size.features, _SQUARE):
        for k in range(0, size.components, 2):
            last = min(1, size.components - 1 - k)
            for d in range(left, min(left + _SQUARE, size.features), 2):
                more = min(1, size.features - 1 - d)
                a = splat(0.0, load_panel(columns, 0))
                b, c, e = a, a, a
                for p in range(size.panels):
                    column, at = p * size.features + d, p * size.components + k
                    t, u = load_panel(columns, column * size.width), load_panel(columns, (column + more) * size.width)
                    r, s = load_panel(joint, at * size.width), load_panel(joint, (at + last) * size.width)
                    a, b, c, e = fma(r, t, a), fma(r, u, b), fma(s, t, c), fma(s, u, e)
                first[k, d] += total(a)
                if more:
                    first[k, d + 1] += total(b)
                if last:
                    first[k + 1, d] += total(c)
                if last and more:
                    first[k + 1, d + 1] += total(e)


@part
def powers_of_rows(x, row, chosen, claims, count, centre, first, second):
    """Adds the sums of r x and of r x^2 over some rows, in float64, two rows at a time."""
    features, whole = centre.size, centre.size // EXACT * EXACT
    for i in range(0, count, 2):
        m, n = (row + chosen[i]) * features, (row + chosen[i + 1]) * features
        r, s = float(claims[i]), float(claims[i + 1])
        for d in range(0, whole, EXACT):
            t, u = load_exact(x, m + d) - load_exact(centre, d), load_exact(x, n + d) - load_exact(centre, d)
            v, w = splat(r, t) * t, splat(s, u) * u
            store(first, d, load_exact(first, d) + (v + w))
            store(second, d, fma(v, t, fma(w, u, load_exact(second, d))))
        for d in range(whole, features):
            t, u = float(number(x, m + d)) - number(centre, d), float(number(x, n + d)) - number(centre, d)
            store(first, d, number(first, d) + (r * t + s * u))
            store(second, d, number(second, d) + (r * t * t + s * u * u))


@part
def firsts_of_rows(x, row, chosen, claims, count, centre, first):
    """Adds the sum of r x over some rows, in float64, two rows at a time."""
    features, whole = centre.size, centre.size // EXACT * EXACT
    for i in range(0, count, 2):
        m, n = (row + chosen[i]) * features, (row + chosen[i + 1]) * features
        r, s = float(claims[i]), float(claims[i + 1])
        for d in range(0, whole, EXACT):
            t, u = load_exact(x, m + d) - load_exact(centre, d), load_exact(x, n + d) - load_exact(centre, d)
            store(first, d, fma(splat(r, t), t, fma(splat(s, u), u, load_exact(first, d))))
        for d in range(whole, features):
            t, u = float(number(x, m + d)) - number(centre, d), float(number(x, n + d)) - number(centre, d)
            store(first, d, number(first, d) + (r * t + s * u))


@part
def few(joint, size, mass):
    """Whether so few rows of a tile count for the components that it pays to add up these alone."""
    count = 0
    for k in range(size.components):
        for p in range(size.panels):
            r = load_panel(joint, (p * size.components + k) * size.width)
            count += how_many(exceeding(r, splat(mass[k] * _ROUNDING, r)))
    return _MANY * count < size.components * size.panels * size.width


@part
def choose(joint, k, size, least, chosen, claims):
    """Lists the rows of a tile that count for a component, and their responsibilities; returns how many.

    Another one follows, the last of them again, that weighs nothing.
    """
    count = 0
    for p in range(size.panels):
        at = (p * size.components + k) * size.width
        r = load_panel(joint, at)
        found = exceeding(r, splat(least, r))
        while found:
            lane, found = trailing(found), found & (found - type(found)(1))
            chosen[count], claims[count] = p * size.width + lane, joint[at + lane]
            count += 1
    chosen[count], claims[count] = chosen[max(0, count - 1)], 0
    return count


@part
def weigh_rows(x, row, chosen, claims, first, few, mean, m, size, y, shift):
    """Rows sqrt(r) (x - mean); adds the sum of r (x - mean) to shift."""
    stride, whole = y.size // HEIGHT, size.real // EXACT * EXACT
    for i in range(few):
        half, at = math.sqrt(float(claims[first + i])), (row + chosen[first + i]) * size.real
        for d in range(0, whole, EXACT):
            gap = load_exact(x, at + d) - load_exact(mean, m + d)
            value = splat(half, gap) * gap
            store_rounded(y, i * stride + d, value)
            store(shift, d, fma(half, value, load_exact(shift, d)))
        for d in range(whole, size.real):
            value = half * (float(number(x, at + d)) - number(mean, m + d))
            store(y, i * stride + d, y.dtype.type(value))
            store(shift, d, number(shift, d) + half * value)


@part
def gram_rows(y, few, size, corner, scatter):
    """Adds the sum of y y^T over some rows to the lower triangle of scatter."""
    stride, width, features = y.size // HEIGHT, size.width, size.features
    for left in range(0, features, width):
        for i in range(left, features, 4):
            a = splat(0.0, load_panel(y, 0))
            b, c, d = a, a, a
            for n in range(few):
                at = n * stride
                t = load_panel(y, at + left)
                a, b = fma(number(y, at + i), t, a), fma(number(y, at + i + 1), t, b)
                c, d = fma(number(y, at + i + 2), t, c), fma(number(y, at + i + 3), t, d)
            store(corner, 0, a)
            store(corner, width, b)
            store(corner, 2 * width, c)
            store(corner, 3 * width, d)
            for below in range(4):
                for j in range(min(width, i + below + 1 - left)):
                    at = (i + below) * features + left + j
                    store(scatter, at, number(scatter, at) + float(number(corner, below * width + j)))
