"""Which way densities of many rows go."""

from enum import Enum, auto

__all__ = ["Route"]


class Route(Enum):
    """How densities are computed: the plain expression, a pass over rows, or one whose gradients are passes."""

    EXPRESSION = auto()
    PASS = auto()
    GRADIENTS = auto()
