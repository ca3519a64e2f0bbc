r"""The E-step of one start over a small table: log-likelihood and sums about the current means.

Rows are stored in panels, feature by feature, so that lanes are rows; a row that fills a panel has weight zero. Every
sum keeps one number for each lane of a part of a panel until the last one. Factors come divided by
:math:`\sqrt 2`, so that a log joint is a constant minus a squared length.

With :math:`t_n` the largest log joint of a row and :math:`m_n` the sum of its joints relative to that, between one and
the number of components, rows that weigh one share a logarithm, :math:`\sum_n t_n + \log \prod_n m_n`.
"""

from ..native.panels import (
    PART,
    added,
    fma,
    folded,
    load_panel,
    load_part,
    log,
    lowered,
    multiplied,
    splat,
    store,
    total,
    where_negative,
)
from ..native.program import plain

__all__ = ["expect"]

_TOGETHER = 8  # panels whose rows share logarithms


@plain
def residuals(columns, p, state, mean, features, width, t, at):
    """Rows of a panel minus the mean of a component."""
    for d in range(features):
        row = load_panel(columns, (p * features + d) * width)
        store(t, at + d * width, row - splat(state[mean + d], row))


@plain
def length(t, at, state, factor, features, dense, width, value):
    """A value minus squared lengths of residuals times a triangle, or times its diagonal where it is not dense."""
    for i in range(features):
        z = splat(0.0, value)
        for j in range(0 if dense else i, i + 1):
            z = fma(state[factor + i * features + j], load_panel(t, at + j * width), z)
        value = fma(-z, z, value)
    return value


@plain
def moments(r, t, at, first, second, features, dense, width, lanes):
    """Adds a component's share of a panel to the sums by lane: first and second moments."""
    for i in range(features):
        ri = r * load_panel(t, at + i * width)
        store(lanes, first + i * PART, added(ri, load_part(lanes, first + i * PART)))
        for j in range(0 if dense else i, i + 1):
            where = second + (i * features + j) * PART
            store(lanes, where, multiplied(ri, load_panel(t, at + j * width), load_part(lanes, where)))


@plain
def read(columns, share, p, state, components, features, dense, width, t, joint, lanes):
    """Adds a panel to the sums by lane; returns the largest log joints, and the sums of joints relative to them."""
    means, factors = 2 * components, components * (2 + features)
    first, second = components * PART, components * (1 + features) * PART
    square, stretch = features * features, features * width
    for k in range(components):
        residuals(columns, p, state, means + k * features, features, width, t, k * stretch)
        value = splat(state[components + k], share)
        value = length(t, k * stretch, state, factors + k * square, features, dense, width, value)
        store(joint, k * width, value)
    top, mass = lowered(joint, 0, components, width)
    scale = share / mass
    for k in range(components):
        r = load_panel(joint, k * width) * scale
        store(lanes, k * PART, added(r, load_part(lanes, k * PART)))
        f, s = first + k * features * PART, second + k * square * PART
        moments(r, t, k * stretch, f, s, features, dense, width, lanes)
    return top, mass


@plain
def expect(columns, weight, begin, end, state, components, features, dense, alike, width, t, joint, lanes):
    """Log-likelihood of the panels [begin, end), whose rows weigh one where they are alike; leaves the sums by lane."""
    likelihood, more = splat(0.0, load_panel(weight, 0)), 0.0
    for i in range(components * (1 + features + features * features)):
        store(lanes, i * PART, splat(0.0, load_part(weight, 0)))
    for first in range(begin, end, _TOGETHER):
        product = splat(1.0, load_part(weight, 0))
        for p in range(first, first + _TOGETHER if first + _TOGETHER < end else end):
            share = load_panel(weight, p * width)
            top, mass = read(columns, share, p, state, components, features, dense, width, t, joint, lanes)
            if alike:
                product = folded(where_negative(-share, mass, splat(1.0, mass)), product)
            else:
                top = top + log(mass)
            likelihood = fma(share, top, likelihood)
        more += total(log(product))
    return total(likelihood) + more
