"""Laws of small counts, as the driver calls them: the E-step of an exponential family, and an M-step from histograms.

A shape is that of an exponential family; see `exponential_kind`.
"""

from ..native.machine import address, called
from ..native.program import plain
from .calls import EXPECT, MATCH, Array, pointers
from .counts_step import update
from .exponential_kind import expected

__all__ = ["calls", "match"]


@plain
def matched(begins, sums, about, floor, shape, state, spare, room):
    """The M-step: parameters from sums; the component that broke, or -1. A state that begins has its constants."""
    if begins != 0:
        return -1
    return update(sums, shape[0], shape[1], shape[4], state, room)


def calls() -> tuple[int, int]:
    """Addresses of the E-step and of the M-step."""
    return address(expected, EXPECT), address(matched, MATCH)


def match(sums: Array, floor: Array, shape: Array, state: Array, room: Array) -> int:
    """The M-step of one start: parameters, at their place, from sums; the component that broke, or -1."""
    return called(matched, MATCH)(0, *pointers(sums, state, floor, shape, state, room, room))
