"""Sums far ahead of three in a row, by SQUAREM's step (see `driver`), and what it takes."""

import math

from ..native.program import plain

__all__ = ["copy", "extrapolate", "larger"]


@plain
def copy(source, target, count):
    """So many numbers."""
    for i in range(count):
        target[i] = source[i]


@plain
def larger(a, b):
    """The larger number."""
    return a if a > b else b


@plain
def extrapolate(first, second, third, scale, longest, out, count):
    """Sums far ahead of three in a row; how far, as a multiple of a step, and how far it is to where they would end.

    Lengths are measured with each sum in a unit of its own, so that a change of units changes nothing.
    """
    r2, w2 = 0.0, 0.0
    for i in range(count):
        r = (second[i] - first[i]) * scale[i]
        w = (third[i] - second[i]) * scale[i] - r
        r2 += r * r
        w2 += w * w
    far = math.sqrt(r2 / w2) if w2 > 0.0 else 1.0
    a = larger(1.0, far if far < longest else longest)
    for i in range(count):
        r = second[i] - first[i]
        out[i] = first[i] + 2 * a * r + a * a * (third[i] - second[i] - r)
    return a, far
