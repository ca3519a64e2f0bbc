"""Covariance structures: what a Gaussian's covariance may look like, one file each."""

from .diagonal import Diagonal
from .eigen import Eigen
from .full import Full
from .low_rank import LowRank
from .names import structure
from .shared import EEV, EVE, EVI, EVV, VEE, VEI, VEV, VVE
from .spherical import Spherical
from .structure import Structure

__all__ = [
    "EEV",
    "EVE",
    "EVI",
    "EVV",
    "VEE",
    "VEI",
    "VEV",
    "VVE",
    "Diagonal",
    "Eigen",
    "Full",
    "LowRank",
    "Spherical",
    "Structure",
    "structure",
]
