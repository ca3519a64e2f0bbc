"""The mixture value and what can be computed with it."""

from .entropy import Entropy
from .files import load
from .prior import Prior
from .value import Mixture

__all__ = ["Entropy", "Mixture", "Prior", "load"]
