r"""The E-step of one start over a small table: log-likelihood and sums about the current means.

Rows are stored in panels, feature by feature, so that lanes are rows; a row that fills a panel has weight zero. Every
sum keeps one number for each lane of a part of a panel until the last one. Factors come divided by
:math:`\sqrt 2`, so that a log joint is a constant minus a squared length.
"""

from ..native.panels import PART, added, fma, load_panel, load_part, multiplied, softmax, splat, store, total
from ..native.program import plain

__all__ = ["expect"]


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
        value = value - z * z
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
def expect(columns, weight, begin, end, state, components, features, dense, width, t, joint, lanes):
    """Log-likelihood of the panels [begin, end); leaves the sums by lane."""
    likelihood = splat(0.0, load_panel(weight, 0))
    square, stretch = features * features, features * width
    for i in range(components * (1 + features + square)):
        store(lanes, i * PART, splat(0.0, load_part(weight, 0)))
    means, factors = 2 * components, components * (2 + features)
    first, second = components * PART, components * (1 + features) * PART
    for p in range(begin, end):
        share = load_panel(weight, p * width)
        for k in range(components):
            residuals(columns, p, state, means + k * features, features, width, t, k * stretch)
            value = splat(state[components + k], share)
            value = length(t, k * stretch, state, factors + k * square, features, dense, width, value)
            store(joint, k * width, value)
        likelihood = fma(share, softmax(joint, 0, components, width), likelihood)
        for k in range(components):
            r = load_panel(joint, k * width) * share
            store(lanes, k * PART, added(r, load_part(lanes, k * PART)))
            f, s = first + k * features * PART, second + k * square * PART
            moments(r, t, k * stretch, f, s, features, dense, width, lanes)
    return total(likelihood)
