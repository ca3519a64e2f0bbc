"""What compiled steps on small tables are asked for and answer, by numbers: M-steps, and how a start ended."""

from enum import IntEnum
from typing import Any

import numpy as np
from numpy.typing import NDArray

__all__ = ["End", "Step"]


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

    @property
    def partly_shared(self) -> bool:
        """Whether components share a volume, a shape or an orientation, but not all of them."""
        return self in (Step.VEI, Step.EVI) or self >= Step.VEE

    @property
    def begins(self) -> "Step":
        """The step whose covariances starts of this one have."""
        if self in (Step.SPHERICAL, Step.TIED_SPHERICAL):
            return Step.SPHERICAL
        return Step.FULL if self >= Step.FULL else Step.DIAGONAL

    def like(self, covariance: NDArray[Any]) -> NDArray[Any]:
        """The nearest covariances (..., D, D) of this kind to those that all components have in common."""
        if self.begins is Step.FULL:
            return covariance
        axes = np.eye(covariance.shape[-1])
        if self.begins is Step.SPHERICAL:
            return np.trace(covariance, axis1=-2, axis2=-1)[..., None, None] / len(axes) * axes
        return covariance * axes


class End(IntEnum):
    """How a start ended, or that it did not."""

    RUNNING = 0
    CONVERGED = 1
    COLLAPSED = 2
    NOT_FINITE = 3
    FELL = 4
    HOPELESS = 5
