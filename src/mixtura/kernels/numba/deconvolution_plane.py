r"""The compiled pass for rows of two coordinates, all recorded, with errors of their own: everything in closed form.

With :math:`T = S_n + V_k = \begin{pmatrix} a & b \\ b & c \end{pmatrix}` and :math:`g = y - \mu_k`,

.. math:: q = T^{-1} g = \frac1{ac - b^2} \begin{pmatrix} c g_1 - b g_2 \\ a g_2 - b g_1 \end{pmatrix}, \qquad
          \log p = \log w_k - \tfrac12 \left(g \cdot q + \log(ac - b^2)\right) - \log 2\pi,

so that a pair of a row and a component costs one division. The determinant of a row loses the digits that the last
pivot of an elimination loses, no more. Layouts are those of `deconvolution_loops`.
"""

import math

from .deconvolution_loops import add, gather, width_of
from .joints import kernel, part, softmax
from .vector import fma, load_panel, log, number, splat, store, total

__all__ = ["deconvolve_plane"]

_LOG_TWO_PI = math.log(2 * math.pi)


@part
def see(columns, spread, mean, covariance, logits, c, k, width, joint, q, precision):
    """The log joint of a panel under component c, and q and the lower triangle of q q^T - T^-1, kept at place k."""
    like = load_panel(columns, 0)
    first = like - splat(number(mean, 2 * c), like)
    second = load_panel(columns, width) - splat(number(mean, 2 * c + 1), like)
    across = load_panel(spread, 0) + splat(number(covariance, 4 * c), like)
    both = load_panel(spread, width) + splat(number(covariance, 4 * c + 2), like)
    along = load_panel(spread, 2 * width) + splat(number(covariance, 4 * c + 3), like)
    determinant = fma(across, along, splat(0.0, like) - both * both)
    inverse = splat(1.0, like) / determinant
    across, both, along = across * inverse, both * inverse, along * inverse
    u, v = along * first - both * second, across * second - both * first
    lost = fma(first, u, fma(second, v, log(determinant)))
    store(joint, k * width, splat(number(logits, c) - _LOG_TWO_PI, like) - lost * splat(0.5, like))
    store(q, 2 * k * width, u)
    store(q, (2 * k + 1) * width, v)
    store(precision, 3 * k * width, fma(u, u, splat(0.0, like) - along))
    store(precision, (3 * k + 1) * width, fma(u, v, both))
    store(precision, (3 * k + 2) * width, fma(v, v, splat(0.0, like) - across))


@kernel
def deconvolve_plane(
    y, noise, weight, begin, end, mean, covariance, logits, components, features, tiles,
    likelihood, mass, first, second,
):  # fmt: skip
    """Adds the sums over rows [begin, end) to (B,), (B, K), (B, K, 2) and, for the lower triangle, (B, K, 3)."""
    width = width_of(y)
    columns, _, absent, _, share, spread, _, _, joint, q, precision = tiles
    for row in range(begin, end, width):
        gather(y, noise, weight, row, end, features, width, columns, spread, absent, share)
        weights = load_panel(share, 0)
        for b in range(likelihood.size):
            for k in range(components):
                c = b * components + k
                see(columns, spread, mean, covariance, logits, c, k, width, joint, q, precision)
            likelihood[b] += total(weights * softmax(joint, 0, components, width))
            add(joint, weights, q, precision, width, mass[b], first[b], second[b])
