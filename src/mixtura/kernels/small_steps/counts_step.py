r"""The M-step of one start of negative binomial laws on small counts, from their histograms.

Rows are indicators of their counts, so the sums of a component are N and the weight :math:`h_v` of the rows at each
count v. With :math:`H_v = \sum_{x > v} h_x` and the mean m, what is to be largest is a function of s alone,

.. math:: Q'(s) = \sum_v \frac{H_v}{s + v} - N\log\frac{s + m}{s}, \qquad
    Q''(s) = \frac{N m}{s(s + m)} - \sum_v \frac{H_v}{(s + v)^2},

found by Newton's steps in :math:`\log s`, halved where they leave what is known to hold it. The numbers of a member are
log-probabilities of 0, 1, ..., which pair with the indicators, then log s and m, which pair with zeros.
"""

import math

from ..native.program import plain

__all__ = ["update"]

_LEAST, _MOST = -13.815510557964274, 13.815510557964274  # of log s: a millionth to a million
_STEPS, _ENOUGH = 50, 1e-10
_TINY = 2.2250738585072014e-308  # of a mean


@plain
def update(sums, components, features, size, state, room):
    """Parameters from sums; the first component that holds nothing, or -1.

    Arguments:
        sums: N and histograms.
        components: K.
        features: F.
        size: The numbers of a member, those of its counts and two more, a divisor of F.
        state: Parameters: those before on entry, from which iterations start, the new ones on return.
        room: Scratch for as many numbers as a member has.
    """
    total = 0.0
    for k in range(components):
        total += sums[k]
    for k in range(components):
        if not (sums[k] > 0.0 and math.isfinite(sums[k])):
            return k
        state[k] = state[components + k] = math.log(sums[k] / total)
        for g in range(0, features, size):
            m, e = components + k * features + g, 2 * components + k * features + g
            learned(sums, m, sums[k], size - 2, state, e, room)
    return -1


@plain
def learned(sums, m, weight, cells, state, e, room):
    """One member from its histogram, at its place."""
    more, mean = 0.0, 0.0
    for i in range(1, cells):
        v = cells - i
        more += sums[m + v]
        mean += v * sums[m + v] / weight
        room[v - 1] = more
    mean = _TINY if mean < _TINY else mean
    log_s = state[e + cells] if mean == _TINY else shape(room, cells - 1, weight, mean, state[e + cells])
    s = math.exp(log_s)
    state[e] = -s * math.log1p(mean / s)
    share = math.log(mean / (mean + s))
    for v in range(1, cells):
        state[e + v] = state[e + v - 1] + math.log((s + v - 1) / v) + share
    state[e + cells], state[e + cells + 1] = log_s, mean


@plain
def shape(more, count, weight, mean, log_s):
    """The logarithm of the s that is likeliest, with so many numbers H and a mean, sought from one before."""
    low, high = _LEAST, _MOST
    for _ in range(_STEPS):
        s, first, second = math.exp(log_s), 0.0, 0.0
        for v in range(count):
            part = more[v] / (s + v)
            first += part
            second += part / (s + v)
        slope = s * (first - weight * math.log1p(mean / s))
        bend = slope + s * (weight * mean / (s + mean) - s * second)
        if slope > 0.0:
            low = log_s
        else:
            high = log_s
        step = -slope / bend if bend < 0.0 else high - low
        if not (log_s + step > low and log_s + step < high):
            step = 0.5 * (low + high) - log_s
        log_s += step
        if abs(step) < _ENOUGH:
            break
    return log_s
