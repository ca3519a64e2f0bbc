r"""Intervals that are to hold a share of the targets: quantiles, central intervals, and how often they did.

A central interval of level :math:`1 - \alpha` leaves :math:`\alpha / 2` on either side. It is judged by how often it
held the target, and by its width, in one number by the interval score (Gneiting and Raftery, 2007),

.. math:: (u - l) + \tfrac2\alpha (l - y)_+ + \tfrac2\alpha (y - u)_+ ,

which in the mean is least for the true quantiles.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, NamedTuple

import torch
from torch import Tensor

from ..errors import refuse
from ..mixture import Mixture
from .targets import coordinates

__all__ = ["Interval", "central_interval", "checked_level", "quantiles"]


class Interval(NamedTuple):
    """The ends of intervals, each with shape ``(*B, *event)``, both included."""

    low: Tensor
    high: Tensor

    @property
    def width(self) -> Tensor:
        """How wide each interval is."""
        return self.high - self.low

    def holds(self, y: Tensor) -> Tensor:
        """Returns which targets ``(*S, *B, *event)`` lie within.

        Example:
            >>> mx.scoring.Interval(torch.tensor(0.0), torch.tensor(1.0)).holds(torch.tensor([0.5, 2.0]))
            tensor([ True, False])
        """
        return (self.low <= y) & (y <= self.high)

    def score(self, y: Tensor, level: float) -> Tensor:
        """Returns the interval score of targets ``(*S, *B, *event)``, in the units of y; lower is better.

        Example:
            >>> mx.scoring.Interval(torch.tensor(0.0), torch.tensor(1.0)).score(torch.tensor([0.5, 2.0]), 0.9)
            tensor([ 1., 21.])
        """
        missed = (self.low - y).clamp_min(0) + (y - self.high).clamp_min(0)
        return self.width + 2 / (1 - checked_level(level)) * missed


def quantiles(mixture: Mixture, levels: Sequence[float] | Tensor) -> Tensor:
    """Returns quantiles of each coordinate, with shape ``(len(levels), *B, *event)``.

    Arguments:
        mixture: A mixture with batch shape ``(*B)``.
        levels: Probabilities between 0 and 1.

    Raises:
        MixtureError: If a level is outside of [0, 1].
        NotClosedForm: If the family has no distribution functions, or no marginals.

    Example:
        >>> pair = mx.Mixture(torch.ones(1), mx.Gaussian(torch.tensor([[0.0, 5.0]]), torch.eye(2)[None]))
        >>> mx.scoring.quantiles(pair, [0.05, 0.95])
        tensor([[-1.6449,  3.3551],
                [ 1.6449,  6.6449]])
    """
    asked = torch.as_tensor(levels, dtype=torch.float64, device=mixture.device)
    if asked.ndim != 1 or not bool(((asked >= 0) & (asked <= 1)).all()):
        refuse("levels", "a row of probabilities between 0 and 1", asked.tolist())
    q = asked.reshape(-1, *[1] * len(mixture.batch_shape)).expand(-1, *mixture.batch_shape)
    found = [one.to(torch.float64).icdf(q).reshape(q.shape) for one in coordinates(mixture)]
    return torch.stack(found, -1).reshape(*q.shape, *mixture.event_shape).to(mixture.dtype)


def central_interval(mixture: Mixture, level: float = 0.9) -> Interval:
    """Returns the interval that leaves as much probability below as above it, for each coordinate.

    Arguments:
        mixture: A mixture with batch shape ``(*B)``.
        level: The probability within, between 0 and 1.

    Example:
        >>> normal = mx.Mixture(torch.ones(1), mx.Normal(torch.zeros(1), torch.ones(1)))
        >>> mx.scoring.central_interval(normal, 0.95)
        Interval(low=tensor(-1.9600), high=tensor(1.9600))
    """
    outside = 0.5 * (1 - checked_level(level))
    return Interval(*quantiles(mixture, [outside, 1 - outside]))


def checked_level(level: Any) -> float:
    """Returns a level between 0 and 1, both left out.

    Raises:
        MixtureError: If it is another.
    """
    if not 0 < level < 1:
        refuse("level", "a probability between 0 and 1, such as 0.9", level)
    return float(level)
