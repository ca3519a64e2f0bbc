"""The sums of a pass for Gaussians compiled for a CPU: fused loops over tiles of rows, all parts inlined."""

from .joints import believe, diagonal_joint, full_joint, gather, kernel, spherical_joint, take, whiten
from .moments import claim, disperse, gram, leave, move, spread, weigh

__all__ = [
    "diagonal_sums",
    "full_sums",
    "spherical_sums",
    "tied_sums",
]


@kernel
def full_sums(
    x, begin, stop, weight, centre, mean, factor, offset, logits, size, tiles,
    likelihood, mass, shift, scatter,
):  # fmt: skip
    """Sums over rows [begin, stop), a triangle a component, added to (B,), (B, K), (B, K, D), (B, K, D, D)."""
    columns, y, joint, _, _, share, halves = tiles
    for row in range(begin, stop, share.size):
        gather(x, row, stop, centre, size, columns)
        take(weight, row, stop, share)
        for b in range(size.restarts):
            full_joint(columns, factor, offset, logits, b, size, joint)
            likelihood[b] += believe(joint, size, share)
            claim(joint, size, share, mass[b])
            for k in range(size.components):
                m = (b * size.components + k) * size.features
                weigh(columns, joint, mean, m, k, size, halves, y, shift[b, k])
                gram(y, size.features, size, scatter[b, k])


@kernel
def diagonal_sums(
    x, begin, stop, weight, centre, mean, factor, offset, logits, size, tiles,
    likelihood, mass, shift, scatter,
):  # fmt: skip
    """Sums over rows [begin, stop), a factor a feature, added to (B,), (B, K), (B, K, D), (B, K, D)."""
    columns, _, joint, _, _, share, _ = tiles
    for row in range(begin, stop, share.size):
        gather(x, row, stop, centre, size, columns)
        take(weight, row, stop, share)
        for b in range(size.restarts):
            diagonal_joint(columns, factor, offset, logits, b, size, joint)
            likelihood[b] += believe(joint, size, share)
            claim(joint, size, share, mass[b])
            spread(columns, joint, mean, b, size, shift[b], scatter[b])


@kernel
def spherical_sums(
    x, begin, stop, weight, centre, mean, precision, logits, size, tiles,
    likelihood, mass, shift, scatter,
):  # fmt: skip
    """Sums over rows [begin, stop), a factor a component, added to (B,), (B, K), (B, K, D), (B, K)."""
    columns, _, joint, squared, _, share, _ = tiles
    for row in range(begin, stop, share.size):
        gather(x, row, stop, centre, size, columns)
        take(weight, row, stop, share)
        for b in range(size.restarts):
            spherical_joint(columns, mean, precision, logits, b, size, joint, squared)
            likelihood[b] += believe(joint, size, share)
            claim(joint, size, share, mass[b])
            move(columns, joint, mean, b, size, shift[b])
            disperse(joint, squared, size, scatter[b])


@kernel
def tied_sums(
    x, begin, stop, weight, centre, mean, triangles, zeros, ones, offset, logits, size, tiles,
    likelihood, mass, shift, scatter, between,
):  # fmt: skip
    """Sums over rows [begin, stop), a triangle a restart, added to (B,), (B, K), (B, K, D), (B, D, D), (B, K, K)."""
    columns, y, joint, _, _, share, halves = tiles
    for row in range(begin, stop, share.size):
        gather(x, row, stop, centre, size, columns)
        take(weight, row, stop, share)
        for b in range(size.restarts):
            whiten(columns, triangles, zeros, b, size, y)
            diagonal_joint(y, ones, offset, logits, b, size, joint)
            likelihood[b] += believe(joint, size, share)
            leave(columns, joint, mean, b, size, share, halves, y)
            gram(y, size.features, size, scatter[b])
            gram(joint, size.components, size, between[b])
            claim(joint, size, halves, mass[b])
            move(columns, joint, mean, b, size, shift[b])
