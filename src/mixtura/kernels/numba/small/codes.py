"""What a start's covariances look like, as numbers that compiled code compares."""

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

DIAGONAL, SPHERICAL, TIED_DIAGONAL, TIED_SPHERICAL, VEI, EVI = range(6)  # along the axes
FULL, TIED_FULL, VEE, EVE, VVE, EEV, VEV, EVV = range(6, 14)  # matrices
