"""Named, seeded problems whose posterior is known: those of published comparisons, and some of this library."""

from .digits import digits_blur, digits_inpainting, digits_super_resolution
from .grid25 import boys2023, cardoso2023, cardoso_benchopt
from .manifold import rozet2024_manifold
from .problem import Problem
from .random_components import zhao2025
from .registry import arguments, named, names
from .tutorial import tutorial_1d, tutorial_2d

__all__ = [
    "Problem",
    "arguments",
    "boys2023",
    "cardoso2023",
    "cardoso_benchopt",
    "digits_blur",
    "digits_inpainting",
    "digits_super_resolution",
    "named",
    "names",
    "rozet2024_manifold",
    "tutorial_1d",
    "tutorial_2d",
    "zhao2025",
]
