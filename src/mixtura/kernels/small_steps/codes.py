"""What a start's covariances look like, as numbers that compiled code compares."""

from ..steps import Step

__all__ = [
    "DIAGONAL",
    "EEV",
    "EVE",
    "EVI",
    "EVV",
    "FULL",
    "SPHERICAL",
    "TIED_DIAGONAL",
    "TIED_FULL",
    "TIED_SPHERICAL",
    "VEE",
    "VEI",
    "VEV",
    "VVE",
]

DIAGONAL, SPHERICAL, TIED_DIAGONAL, TIED_SPHERICAL, VEI, EVI, *_matrices = map(int, Step)
FULL, TIED_FULL, VEE, EVE, VVE, EEV, VEV, EVV = _matrices
