"""Exponential families on small tables, as the driver calls them: E-step, M-step, and what they need to begin.

A shape is K, F, rows in a panel, the law, the statistics of a member, and the trials behind a value.
"""

from functools import cache

from ..jit import plain
from .calls import EXPECT, MATCH, address
from .exponential_step import update
from .exponential_sums import expect

__all__ = ["calls"]


@plain
def expected(columns, weight, begin, end, state, shape, lanes, joint, spare, sums, plain):
    """Log-likelihood of the panels [begin, end), base measure aside, and the sums, twice."""
    components, features, width = shape[0], shape[1], shape[2]
    found = expect(columns, weight, begin, end, state, components, features, width, joint, lanes)
    for i in range(components * (1 + features)):
        value = 0.0
        for lane in range(i * width, (i + 1) * width):
            value += lanes[lane]
        sums[i] = plain[i] = value
    return found


@plain
def matched(sums, about, floor, shape, state, spare, room):
    """The M-step: parameters from sums; the component that broke, or -1."""
    return update(shape[3], sums, shape[0], shape[1], shape[4], shape[5], state, floor, room)


@plain
def begun(sums, about, floor, shape, state, spare, room):
    """Nothing: a state comes with its constants."""
    return -1


@cache
def calls() -> tuple[int, int, int]:
    """Addresses of the E-step, of the M-step, and of what begins."""
    return address(expected, EXPECT), address(matched, MATCH), address(begun, MATCH)
