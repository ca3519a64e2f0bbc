r"""Updates of K-means over rows in panels, feature by feature: lanes are rows, as in the E-step of Gaussians.

Squared distances, the nearest centre of each row (as a number) and sums about centres are found panel by panel. A
cluster without rows takes the row farthest from its own centre, as in `lloyd`.
"""

from ..native.panels import (
    PART,
    WIDTH,
    added,
    fma,
    load_panel,
    load_part,
    multiplied,
    smallest,
    splat,
    store,
    total,
    where_negative,
)
from ..native.program import plain

__all__ = ["assign", "coordinate", "refill", "squared"]


@plain
def squared(x, p, features, centre, at):
    """Squared distances of the rows of a panel to a centre that begins at an index."""
    value = splat(0.0, load_panel(x, p * features * WIDTH))
    for d in range(features):
        row = load_panel(x, (p * features + d) * WIDTH)
        lag = row - splat(centre[at + d], row)
        value = fma(lag, lag, value)
    return value


@plain
def coordinate(x, n, d, features):
    """One number of a row."""
    return x[(n // WIDTH * features + d) * WIDTH + n % WIDTH]


@plain
def closest(x, p, features, mean, components, far, nearest):
    """Notes the nearest centre of each row of a panel and how far it is."""
    least = squared(x, p, features, mean, 0)
    at = splat(0.0, least)
    for k in range(1, components):
        other = squared(x, p, features, mean, k * features)
        at = where_negative(other - least, splat(k, least), at)
        least = smallest(least, other)
    store(far, p * WIDTH, least)
    store(nearest, p * WIDTH, at)


@plain
def assign(x, weight, panels, mean, components, features, mass, shift, nearest, far, lanes):
    """Sums about the centres of the rows nearest to each."""
    count = components * (1 + features)
    for i in range(count):
        store(lanes, i * PART, splat(0.0, load_part(weight, 0)))
    for p in range(panels):
        closest(x, p, features, mean, components, far, nearest)
        share, at = load_panel(weight, p * WIDTH), load_panel(nearest, p * WIDTH)
        for k in range(components):
            lag = at - splat(k, at)
            mine = where_negative(lag * lag - splat(0.5, at), share, splat(0.0, at))
            store(lanes, k * PART, added(mine, load_part(lanes, k * PART)))
            for d in range(features):
                row, where = load_panel(x, (p * features + d) * WIDTH), (components + k * features + d) * PART
                lag = row - splat(mean[k * features + d], row)
                store(lanes, where, multiplied(mine, lag, load_part(lanes, where)))
    for k in range(components):
        mass[k] = total(load_part(lanes, k * PART))
    for i in range(components * features):
        shift[i] = total(load_part(lanes, (components + i) * PART))


@plain
def give(x, n, weight, mean, k, features, mass, shift):
    """Adds a row to the sums about a centre."""
    mass[k] += weight
    for d in range(features):
        shift[k * features + d] += weight * (coordinate(x, n, d, features) - mean[k * features + d])


@plain
def refill(x, weight, rows, mean, components, features, mass, shift, nearest, far):
    """Moves one far row to each cluster that has none."""
    for k in range(components):
        n = -1
        for row in range(0 if mass[k] > 0.0 else rows):
            if weight[row] > 0.0 and far[row] > 0.0 and (n < 0 or far[row] > far[n]):
                n = row
        if n >= 0:
            far[n] = 0.0
            give(x, n, -weight[n], mean, int(nearest[n]), features, mass, shift)
            give(x, n, weight[n], mean, k, features, mass, shift)
