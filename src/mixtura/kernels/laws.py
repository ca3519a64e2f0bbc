"""The families whose M-steps are compiled for small tables."""

from enum import IntEnum
from typing import NamedTuple

__all__ = ["Law", "Matching"]


class Law(IntEnum):
    """What the mean statistics of a component are matched to; those up to `BINOMIAL` are one number.

    Those up to `DIRECTION` are exponential families; each of the others has steps of its own.
    """

    POISSON = 0
    EXPONENTIAL = 1
    GEOMETRIC = 2
    BINOMIAL = 3
    SHARES = 4
    GAMMA = 5
    INVERSE_GAMMA = 6
    BETA = 7
    DIRICHLET = 8
    DIRECTION = 9
    COUNTS = 10  # from histograms
    TAILS = 11  # Student-t laws
    LIFETIMES = 12  # Weibull laws


class Matching(NamedTuple):
    """How mean statistics become parameters: the law, how many statistics a member has, and trials behind a value."""

    law: Law
    size: int
    trials: int = 1
