r"""From responsibilities to sums: each component adds the moments of a tile, from residuals about its own mean.

.. math:: \sum_n r_{nk} t_{nk} t_{nk}^\top = \sum_n y_n y_n^\top,
          \qquad t_{nk} = x_n - \mu_k, \quad y_n = \sqrt{r_{nk}}\, t_{nk} .

When all components share a factor, the pooled scatter needs no loop over components: with responsibilities p that sum
to one and :math:`e_n = x_n - \sum_k p_{nk} \mu_k`,

.. math:: \sum_{nk} w_n p_{nk} t_{nk} t_{nk}^\top = \sum_n w_n e_n e_n^\top
          + \tfrac12 \sum_{kl} G_{kl} (\mu_k - \mu_l)(\mu_k - \mu_l)^\top,
          \qquad G = \sum_n w_n p_n p_n^\top,

a sum of positive terms. Layouts are those of `joints`.
"""

from .joints import part
from .vector import fma, load_panel, number, root, splat, store, total

__all__ = [
    "claim",
    "disperse",
    "gram",
    "leave",
    "move",
    "spread",
    "weigh",
]

_SQUARE = 8  # columns of a tile that fit the first cache twice; even


@part
def claim(joint, size, share, mass):
    """Responsibilities of a tile become weighted; adds their sums to mass."""
    for k in range(size.components):
        added = splat(0.0, load_panel(joint, 0))
        for p in range(size.panels):
            at = (p * size.components + k) * size.width
            value = load_panel(share, p * size.width) * load_panel(joint, at)
            store(joint, at, value)
            added = added + value
        mass[k] += total(added)


@part
def weigh(columns, joint, mean, m, k, size, halves, y, shift):
    """y = sqrt(r) (x - mean) over a tile; adds the sum of r (x - mean) to shift."""
    for p in range(size.panels):
        store(halves, p * size.width, root(load_panel(joint, (p * size.components + k) * size.width)))
    for d in range(size.features):
        added = splat(0.0, load_panel(columns, 0))
        centre = splat(number(mean, m + d), added)
        for p in range(size.panels):
            at, half = (p * size.features + d) * size.width, load_panel(halves, p * size.width)
            value = half * (load_panel(columns, at) - centre)
            store(y, at, value)
            added = fma(half, value, added)
        shift[d] += total(added)


@part
def spread(columns, joint, mean, b, size, shift, scatter):
    """Adds the sums of r (x - mean) and of r (x - mean)^2 over a tile, a few columns at a time."""
    for left in range(0, size.features, _SQUARE):
        for k in range(size.components):
            for d in range(left, min(left + _SQUARE, size.features)):
                first = splat(0.0, load_panel(columns, 0))
                second = first
                centre = splat(number(mean, (b * size.components + k) * size.features + d), first)
                for p in range(size.panels):
                    t = load_panel(columns, (p * size.features + d) * size.width) - centre
                    weighed = load_panel(joint, (p * size.components + k) * size.width) * t
                    first, second = first + weighed, fma(weighed, t, second)
                shift[k, d] += total(first)
                scatter[k, d] += total(second)


@part
def move(columns, joint, mean, b, size, shift):
    """Adds the sum of r (x - mean) over a tile, a few columns at a time."""
    for left in range(0, size.features, _SQUARE):
        for k in range(size.components):
            for d in range(left, min(left + _SQUARE, size.features)):
                added = splat(0.0, load_panel(columns, 0))
                centre = splat(number(mean, (b * size.components + k) * size.features + d), added)
                for p in range(size.panels):
                    t = load_panel(columns, (p * size.features + d) * size.width) - centre
                    added = fma(load_panel(joint, (p * size.components + k) * size.width), t, added)
                shift[k, d] += total(added)


@part
def disperse(joint, squared, size, scatter):
    """Adds the sums of r times squared distances of a tile."""
    for k in range(size.components):
        added = splat(0.0, load_panel(joint, 0))
        for p in range(size.panels):
            at = (p * size.components + k) * size.width
            added = fma(load_panel(joint, at), load_panel(squared, at), added)
        scatter[k] += total(added)


@part
def gram(y, features, size, scatter):
    """Adds the sum of y y^T over a tile to the lower triangle of scatter, in squares that stay in the cache."""
    for top in range(0, features, _SQUARE):
        for left in range(0, top + _SQUARE, _SQUARE):
            for i in range(top, min(top + _SQUARE, features), 2):
                for j in range(left, min(left + _SQUARE, i + 2), 2):
                    products(y, features, i, j, size, scatter)


@part
def products(y, features, i, j, size, scatter):
    """Adds the products of columns i and i + 1 with j and j + 1 of a tile to scatter."""
    a = splat(0.0, load_panel(y, 0))
    b, c, d = a, a, a
    for p in range(size.panels):
        row, column = (p * features + i) * size.width, (p * features + j) * size.width
        u, v = load_panel(y, row), load_panel(y, row + size.width)
        s, t = load_panel(y, column), load_panel(y, column + size.width)
        a, b, c, d = fma(u, s, a), fma(u, t, b), fma(v, s, c), fma(v, t, d)
    scatter[i, j] += total(a)
    scatter[i, j + 1] += total(b)
    scatter[i + 1, j] += total(c)
    scatter[i + 1, j + 1] += total(d)


@part
def leave(columns, joint, mean, b, size, share, halves, y):
    """y = sqrt(w) (x - sum of responsibility times mean); the joint becomes sqrt(w) times responsibility."""
    features, components, width = size.features, size.components, size.width
    for p in range(size.panels):
        half = root(load_panel(share, p * width))
        store(halves, p * width, half)
        for d in range(features):
            t = load_panel(columns, (p * features + d) * width)
            for k in range(components):
                centre = number(mean, (b * components + k) * features + d)
                t = fma(-centre, load_panel(joint, (p * components + k) * width), t)
            store(y, (p * features + d) * width, half * t)
        for k in range(components):
            at = (p * components + k) * width
            store(joint, at, half * load_panel(joint, at))
