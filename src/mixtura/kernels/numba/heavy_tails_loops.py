r"""The pass for Student-t components compiled for a CPU: the Gaussian kernels with one more step between their parts.

Log joints arrive as :math:`-\delta/2`, are turned into :math:`q = 1 + \delta/\nu` and its logarithm, and come back as
log joints of the Student-t density; claimed responsibilities leave as :math:`r u`, with which the Gaussian parts sum.
Layouts are those of `joints`.
"""

from .joints import believe, diagonal_joint, full_joint, gather, kernel, part, take
from .moments import gram, spread, weigh
from .vector import fma, load_panel, log, number, splat, store, total

__all__ = ["diagonal_sums", "full_sums"]


@part
def lengthen(joint, inverse, power, logits, b, size, q, logs):
    """Minus half distances of a tile become log joints of Student-t components; fills q and its logarithm."""
    for k in range(size.components):
        c = b * size.components + k
        for p in range(size.panels):
            at = (p * size.components + k) * size.width
            one = splat(1.0, load_panel(joint, at))
            value = fma(-2.0 * number(inverse, c), load_panel(joint, at), one)
            logarithm = log(value)
            store(q, at, value)
            store(logs, at, logarithm)
            store(joint, at, fma(-number(power, c), logarithm, splat(number(logits, c), one)))


@part
def claim(joint, q, logs, pulls, b, size, share, mass, sums, squares, pull):
    """Responsibilities of a tile become r u; adds the sums of r, r log q, r u^2 and r u."""
    for k in range(size.components):
        added = splat(0.0, load_panel(joint, 0))
        logarithms, twice, once = added, added, added
        scale = splat(number(pulls, b * size.components + k), added)
        for p in range(size.panels):
            at = (p * size.components + k) * size.width
            r = load_panel(share, p * size.width) * load_panel(joint, at)
            u = scale / load_panel(q, at)
            value = r * u
            store(joint, at, value)
            added, logarithms = added + r, fma(r, load_panel(logs, at), logarithms)
            once, twice = once + value, fma(value, u, twice)
        mass[k] += total(added)
        sums[k] += total(logarithms)
        squares[k] += total(twice)
        pull[k] += total(once)


@kernel
def full_sums(
    x, begin, stop, weight, centre, mean, factor, offset, zeros, inverse, power, pulls, logits, size, tiles,
    likelihood, mass, sums, squares, pull, shift, scatter,
):  # fmt: skip
    """Sums over rows [begin, stop), a triangle a component."""
    columns, y, joint, q, logs, share, halves = tiles
    for row in range(begin, stop, share.size):
        gather(x, row, stop, centre, size, columns)
        take(weight, row, stop, share)
        for b in range(size.restarts):
            full_joint(columns, factor, offset, zeros, b, size, joint)
            lengthen(joint, inverse, power, logits, b, size, q, logs)
            likelihood[b] += believe(joint, size, share)
            claim(joint, q, logs, pulls, b, size, share, mass[b], sums[b], squares[b], pull[b])
            for k in range(size.components):
                m = (b * size.components + k) * size.features
                weigh(columns, joint, mean, m, k, size, halves, y, shift[b, k])
                gram(y, size.features, size, scatter[b, k])


@kernel
def diagonal_sums(
    x, begin, stop, weight, centre, mean, factor, offset, zeros, inverse, power, pulls, logits, size, tiles,
    likelihood, mass, sums, squares, pull, shift, scatter,
):  # fmt: skip
    """Sums over rows [begin, stop), a factor a feature."""
    columns, _, joint, q, logs, share, _ = tiles
    for row in range(begin, stop, share.size):
        gather(x, row, stop, centre, size, columns)
        take(weight, row, stop, share)
        for b in range(size.restarts):
            diagonal_joint(columns, factor, offset, zeros, b, size, joint)
            lengthen(joint, inverse, power, logits, b, size, q, logs)
            likelihood[b] += believe(joint, size, share)
            claim(joint, q, logs, pulls, b, size, share, mass[b], sums[b], squares[b], pull[b])
            spread(columns, joint, mean, b, size, shift[b], scatter[b])
