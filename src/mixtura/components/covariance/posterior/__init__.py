"""The law of a Gaussian vector given a linear measurement: what is computed once, and what for each record."""

from .axes import by_axes, is_round
from .coordinates import by_coordinates
from .factors import by_factors
from .gain import Gain
from .measurement import Coordinates, Measurement
from .precisions import by_precisions, is_sharp
from .singular import refuse_singular
from .triangles import by_triangles

__all__ = [
    "Coordinates",
    "Gain",
    "Measurement",
    "by_axes",
    "by_coordinates",
    "by_factors",
    "by_precisions",
    "by_triangles",
    "is_round",
    "is_sharp",
    "refuse_singular",
]
