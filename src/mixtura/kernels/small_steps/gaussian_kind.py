r"""Gaussians on small tables, as the driver calls them: E-step and M-step.

A shape is K, D, rows in a panel, the code of the structure, the address of its step where it shares a part, and whether
all rows weigh one.
"""

from ..native.machine import address
from ..native.program import plain
from .calls import COVARIANCES, EXPECT, MATCH
from .codes import FULL
from .covariances import covariances
from .gaussian_step import collect, factorise, update
from .gaussian_sums import expect

__all__ = ["calls", "shared_step"]


@plain
def expected(columns, weight, begin, end, state, shape, lanes, joint, spare, sums, plain):
    """Log-likelihood of the panels [begin, end), and sums about the means and about the origin."""
    components, features, width, dense, alike = shape[0], shape[1], shape[2], shape[3] >= FULL, shape[5] > 0
    found = expect(columns, weight, begin, end, state, components, features, dense, alike, width, spare, joint, lanes)
    collect(lanes, components, features, dense, sums)
    about_origin(sums, state, components, features, plain)
    return found


@plain
def about_origin(sums, state, components, features, out):
    """Sums about the means as sums about the origin, by the row's weight in all."""
    square, means = features * features, 2 * components
    for k in range(components):
        n, f, s = sums[k], components + k * features, components * (1 + features) + k * square
        out[k] = n
        for i in range(features):
            mi, fi = state[means + k * features + i], sums[f + i]
            out[f + i] = fi + n * mi
            for j in range(features):
                mj = state[means + k * features + j]
                out[s + i * features + j] = sums[s + i * features + j] + fi * mj + mi * sums[f + j] + n * mi * mj


@plain
def matched(begins, sums, about, floor, shape, state, spare, room):
    """The M-step: parameters from sums about the means of another state; the component that broke, or -1.

    A state that begins has parameters, and lacks their factors and constants.
    """
    components, features = shape[0], shape[1]
    broken = -1
    if begins == 0:
        broken = update(shape[3], shape[4], sums, about, components, features, state, spare, room)
    return broken if broken >= 0 else factorise(shape[3] >= FULL, components, features, state, floor)


def calls() -> tuple[int, int]:
    """Addresses of the E-step and of the M-step."""
    return address(expected, EXPECT), address(matched, MATCH)


def shared_step() -> int:
    """The address of the step of covariances that share a part."""
    return address(covariances, COVARIANCES)
