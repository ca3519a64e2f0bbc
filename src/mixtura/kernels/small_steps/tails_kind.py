r"""Student-t laws on small tables, as the driver calls them: E-step and M-step.

A shape is that of Gaussians, and what is learned of degrees of freedom. A state is that of Gaussians, and then degrees
of freedom (K). Sums are N (K), U (K), f and S about the means with a row's pull u, :math:`\sum r \log q` and
:math:`\sum r u^2` (K each), and the logarithms of the degrees of freedom at which they were made (K), because steps go
from there; see `kernels.heavy_tails`.
"""

import math

from ..native.machine import address
from ..native.panels import (
    PART,
    added,
    beyond,
    fma,
    load_panel,
    load_part,
    log,
    multiplied,
    softmax,
    splat,
    store,
    total,
)
from ..native.program import plain
from .calls import EXPECT, MATCH
from .codes import FULL
from .gaussian_kind import about_origin, shared_step
from .gaussian_step import collect, size_of_sums
from .gaussian_sums import length, moments, residuals
from .tails_step import degrees_of, ready, update

__all__ = ["calls", "shared_step", "size_of_spare"]


@plain
def size_of_spare(components, features, width):
    """Numbers of scratch that the E-step takes."""
    return (features + 2) * components * width


@plain
def expected(columns, weight, begin, end, state, shape, lanes, joint, spare, sums, plain):
    """Log-likelihood of the panels [begin, end), and sums about the means and about the origin."""
    components, features, width, dense = shape[0], shape[1], shape[2], shape[3] >= FULL
    inner, dof = size_of_sums(components, features), degrees_of(components, features)
    found = read(columns, weight, begin, end, state, components, features, dense, width, spare, joint, lanes)
    for k in range(components):
        sums[k] = total(load_part(lanes, (inner + k) * PART))
    collect(lanes, components, features, dense, beyond(sums, components))
    about_origin(beyond(sums, components), state, components, features, beyond(plain, components))
    for k in range(components):
        at = components + inner + k
        sums[at] = total(load_part(lanes, (inner + components + k) * PART))
        sums[at + components] = total(load_part(lanes, (inner + 2 * components + k) * PART))
        sums[at + 2 * components] = math.log(state[dof + k])
        plain[k] = sums[k]
        for i in range(at, at + 3 * components, components):
            plain[i] = sums[i]
    return found


@plain
def read(columns, weight, begin, end, state, components, features, dense, width, t, joint, lanes):
    """Log-likelihood of the panels [begin, end); leaves by lane the sums U, f and S, then N, of logarithms and u^2."""
    likelihood = splat(0.0, load_panel(weight, 0))
    for i in range(size_of_sums(components, features) + 3 * components):
        store(lanes, i * PART, splat(0.0, load_part(weight, 0)))
    stretch, dof = features * width, degrees_of(components, features)
    means, factors = 2 * components, components * (2 + features)
    logs = beyond(t, components * stretch)
    ratios = beyond(logs, components * width)
    for p in range(begin, end):
        share = load_panel(weight, p * width)
        for k in range(components):
            residuals(columns, p, state, means + k * features, features, width, t, k * stretch)
            half = length(
                t, k * stretch, state, factors + k * features * features, features, dense, width, splat(0.0, share)
            )
            power = -0.5 * (state[dof + k] + features)
            log_q = lengthened(half * splat(-2.0 / state[dof + k], share), logs, ratios, k * width)
            store(joint, k * width, fma(power, log_q, splat(state[components + k], share)))
        likelihood = fma(share, softmax(joint, 0, components, width), likelihood)
        for k in range(components):
            r = load_panel(joint, k * width) * share
            u = splat((state[dof + k] + features) / state[dof + k], share) / load_panel(ratios, k * width)
            weighed(r, u, load_panel(logs, k * width), t, k, components, features, dense, width, lanes)
    return total(likelihood)


@plain
def lengthened(ratio, logs, ratios, at):
    """Keeps q, one more than a ratio, and its logarithm, which it returns."""
    one = splat(1.0, ratio)
    q = ratio + one
    log_q = log(q) + (ratio - (q - one)) / q  # what the sum has lost to rounding
    store(logs, at, log_q)
    store(ratios, at, q)
    return log_q


@plain
def weighed(r, u, logs, t, k, components, features, dense, width, lanes):
    """Adds a component's share of a panel to all sums by lane."""
    square, inner, pull = features * features, size_of_sums(components, features), r * u
    store(lanes, k * PART, added(pull, load_part(lanes, k * PART)))
    first, second = (components + k * features) * PART, (components * (1 + features) + k * square) * PART
    moments(pull, t, k * features * width, first, second, features, dense, width, lanes)
    n, at, squares = (inner + k) * PART, (inner + components + k) * PART, (inner + 2 * components + k) * PART
    store(lanes, n, added(r, load_part(lanes, n)))
    store(lanes, at, multiplied(r, logs, load_part(lanes, at)))
    store(lanes, squares, multiplied(pull, u, load_part(lanes, squares)))


@plain
def matched(begins, sums, about, floor, shape, state, spare, room):
    """The M-step: parameters from sums about the means of another state; the component that broke, or -1.

    A state that begins has parameters, and lacks their factors and constants; or the update is to be cautious.
    """
    broken = -1
    if begins != 1:
        broken = update(begins == 2, shape, sums, about, state, spare, room)
    return broken if broken >= 0 else ready(shape[3] >= FULL, shape[0], shape[1], state, floor)


def calls() -> tuple[int, int]:
    """Addresses of the E-step and of the M-step."""
    return address(expected, EXPECT), address(matched, MATCH)
