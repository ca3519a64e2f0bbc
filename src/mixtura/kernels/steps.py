"""The M-steps that are compiled for small tables, by what the covariances look like."""

from enum import IntEnum

__all__ = ["Step"]


class Step(IntEnum):
    """What the covariances of a start look like; those from `FULL` on are matrices, the others lie along the axes.

    Shared volumes, shapes and orientations have the names of the structures (`mixtura.components.VEI` and so on).
    """

    DIAGONAL = 0
    SPHERICAL = 1
    TIED_DIAGONAL = 2
    TIED_SPHERICAL = 3
    VEI = 4
    EVI = 5
    FULL = 6
    TIED_FULL = 7
    VEE = 8
    EVE = 9
    VVE = 10
    EEV = 11
    VEV = 12
    EVV = 13

    @property
    def tied(self) -> bool:
        """Whether all components have one covariance."""
        return self in (Step.TIED_DIAGONAL, Step.TIED_SPHERICAL, Step.TIED_FULL)
