"""Whether a start gains any more, judged by its objectives as `mixtura.learning.loop.traces` has it."""

import math

from ..native.program import plain
from .ahead import larger

__all__ = ["no_gain_left"]

_SLOWER = 3.0  # times as slow as steps that mix all directions tell
_CLEAR = 100.0  # how far above rounding a gain is known to two digits


@plain
def mean(trace, first, count):
    """The mean of so many objectives, from one on."""
    total = 0.0
    for i in range(first, first + count):
        total += trace[i] - trace[first]
    return trace[first] + total / count


@plain
def lost(trace, last, together, rounding):
    """Whether the last gain is lost in rounding: of many updates on average, and not where it put one low."""
    if together == 1:
        return trace[last] - trace[last - 1] <= rounding
    late, early = mean(trace, last + 1 - together, together), mean(trace, last + 1 - 2 * together, together)
    size = rounding / math.sqrt(together)
    return late - early <= size and (trace[last] >= late - size or late < early)


@plain
def little(gain, before, tolerance):
    """Whether gains that shrink like two in a row add up to less than the tolerance."""
    rate = gain / before if before > 0.0 else 1.0
    return rate < 1.0 and gain < 10 * tolerance and gain * rate / (1 - rate) < tolerance


@plain
def still(trace, last, count):
    """Whether so many gains were none at all."""
    for i in range(last - count, last):
        if trace[i] != trace[last]:
            return False
    return True


@plain
def many(last, needed):
    """How many gains are judged together: as many as are needed for one of the tolerance, or a quarter of all."""
    most = 10 if last < 43 else (last + 1) // 4
    if needed >= most:
        return most
    return int(needed) + 1 if needed > 1.0 else 1


@plain
def no_gain_left(trace, last, tolerance, rounding, accelerated, far):
    """Whether the gain still to come is below the tolerance or lost in rounding."""
    together = many(last, _CLEAR * rounding / tolerance)
    few = 10 if together > 10 else (2 if together < 2 else together)
    if last < 2 * together:
        return last >= few and still(trace, last, few)
    gain, before = trace[last] - trace[last - together], trace[last - together] - trace[last - 2 * together]
    if lost(trace, last, together, rounding):
        return True
    if accelerated:
        return far > 0.0 and larger(gain, before) * _SLOWER * far < tolerance * together
    if last == 2 * together or not little(gain, before, tolerance):
        return False
    ago = trace[last - 1] - trace[last - 1 - together], trace[last - 1 - together] - trace[last - 1 - 2 * together]
    return little(ago[0], ago[1], tolerance)
