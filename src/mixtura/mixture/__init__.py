"""The mixture value and what can be computed with it."""

from .entropy import Entropy
from .files import Model, load, read_model
from .prior import Prior
from .value import Mixture

__all__ = ["Entropy", "Mixture", "Model", "Prior", "load", "read_model"]
