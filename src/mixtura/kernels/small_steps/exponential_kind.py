"""Exponential families on small tables, as the driver calls them: E-step and M-step.

A shape is K, F, rows in a panel, the law, the statistics of a member, and the trials behind a value.
"""

from ..native.machine import address, called
from ..native.panels import PART, load_part, total
from ..native.program import plain
from .calls import EXPECT, MATCH, Array, pointers
from .exponential_step import update
from .exponential_sums import expect

__all__ = ["calls", "match"]


@plain
def expected(columns, weight, begin, end, state, shape, lanes, joint, spare, sums, plain):
    """Log-likelihood of the panels [begin, end), base measure aside, and the sums, twice."""
    components, features, width = shape[0], shape[1], shape[2]
    found = expect(columns, weight, begin, end, state, components, features, width, joint, lanes)
    for i in range(components * (1 + features)):
        sums[i] = plain[i] = total(load_part(lanes, i * PART))
    return found


@plain
def matched(begins, sums, about, floor, shape, state, spare, room):
    """The M-step: parameters from sums; the component that broke, or -1. A state that begins has its constants."""
    if begins != 0:
        return -1
    return update(shape[3], sums, shape[0], shape[1], shape[4], shape[5], state, floor, room)


def calls() -> tuple[int, int]:
    """Addresses of the E-step and of the M-step."""
    return address(expected, EXPECT), address(matched, MATCH)


def match(sums: Array, floor: Array, shape: Array, state: Array, room: Array) -> int:
    """The M-step of one start: parameters, at their place, from sums; the component that broke, or -1."""
    return called(matched, MATCH)(0, *pointers(sums, state, floor, shape, state, room, room))
