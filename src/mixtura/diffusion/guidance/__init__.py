"""How a model learns of what was recorded, :math:`y = A x_0 + \\varepsilon`: exactly, or as published methods do."""

from .exact import ExactGuidance
from .guidance import Guidance, Guided

__all__ = ["ExactGuidance", "Guidance", "Guided"]
