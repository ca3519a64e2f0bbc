"""Mixtura: a mixture is one value, learning is one loop, and everything else reads or produces a mixture."""

from .components import Diagonal, Full, Gaussian, Normal, NormalInverseWishart, Spherical
from .mixture import Mixture, load

__all__ = ["Diagonal", "Full", "Gaussian", "Mixture", "Normal", "NormalInverseWishart", "Spherical", "load"]
