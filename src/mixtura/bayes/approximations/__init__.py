"""Approximations of a posterior without sampling it, and its evidence.

Each works on the unconstrained vector u of a posterior (`Target`): the mode, Laplace's Gaussian, the Gaussian of ADVI,
Pathfinder's mixture of Gaussians, and the evidence by bridge sampling from draws.
"""

from .advi import ADVI, advi
from .bridge import Bridge, bridge
from .density import Target
from .ending import Ending, Quality
from .laplace import Laplace, laplace
from .maximum import Maximum, maximum
from .pathfinder import Pathfinder, pathfinder
from .record import Approximation, Check

__all__ = [
    "ADVI",
    "Approximation",
    "Bridge",
    "Check",
    "Ending",
    "Laplace",
    "Maximum",
    "Pathfinder",
    "Quality",
    "Target",
    "advi",
    "bridge",
    "laplace",
    "maximum",
    "pathfinder",
]
