r"""What climbing by quasi-Newton steps needs of components: slopes, and steps, in coordinates of their own.

The sums of an E-step are the slope of the log-likelihood, whatever was recorded of the rows (Fisher's identity). The
coordinates are local: zero where the components are, and without units. Those of a Gaussian are a and a lower
triangular B,

.. math:: \mu' = \mu + L a, \qquad L' = L\,T(B), \quad T_{ij} = B_{ij}\ (i > j), \quad T_{ii} = e^{B_{ii}},

in which the slopes are :math:`L^{-1} f` and the lower triangle of :math:`L^{-1} S L^{-\top} - N I`, and rows that were
seen as they were drawn bend it by N, and by 2N along the diagonal of B.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, NamedTuple, Self

from torch import Tensor

if TYPE_CHECKING:
    from .statistics import Statistics

__all__ = ["Climbing", "Slopes"]


class Slopes(NamedTuple):
    """Slopes of the log-likelihood, in nats, and about how fast they fall, both ``(B, P)`` by local coordinate."""

    slope: Tensor
    bend: Tensor


class Climbing:
    """Components that may know their slopes; most leave their updates to the M-step."""

    @property
    def climbs(self) -> bool:
        """Whether `slopes` and `stepped` are there."""
        return False

    def slopes(self, statistics: Statistics, prior: Any = None) -> Slopes:
        """Returns the slopes of the log-likelihood that the sums of an E-step imply; of one batch dimension.

        Those of a prior of Gaussians are its pseudo-sums'.
        """
        raise NotImplementedError

    def stepped(self, step: Tensor) -> Self:
        """Returns the components after steps ``(B, P)`` in local coordinates."""
        raise NotImplementedError
