r"""Guarantees for a finite number of rows, whatever the mixtures: split conformal prediction.

Let :math:`s_1, \dots, s_n` be scores of rows that were held out of learning, and s the score of a new row. If the rows
are exchangeable, the rank of s among them is uniform (but for ties), so for :math:`k = \lceil (1-\alpha)(n+1) \rceil`

.. math:: 1 - \alpha \;\le\; P(s \le s_{(k)}) = \frac{k}{n+1} \;<\; 1 - \alpha + \frac{1}{n+1} ,

however wrong the mixtures are (Vovk, Gammerman and Shafer, 2005). Of intervals the score is how far out a target lies
in its own conditional distribution, :math:`-\min(P(Y \le y), P(Y \ge y))` (Chernozhukov, Wüthrich and Zhu, 2021): so
they are as wide and as skew as the mixture says, and their level is right. Of anomalies it is minus the log-density.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor

from ..errors import refuse
from ..mixture import Mixture
from ..mixture.quantile import upper_quantile
from .intervals import Interval, checked_level
from .targets import as_numbers, observed_targets

__all__ = ["Alarm", "Calibration", "alarm", "calibrate"]

_SLACK = 1e-9  # of probabilities, in favour of what lies on an edge


@dataclass(frozen=True, eq=False)
class Calibration:
    """How far out held-out targets lay in their own distributions, and the intervals that follow.

    Arguments:
        tail: The probability at or beyond each held-out target, on the side where there is less of it; rising.
    """

    tail: Tensor

    def cut(self, level: float) -> float:
        """Returns the tail probability at which intervals of this level end; 0 if there are too few rows for it.

        Example:
            >>> mx.scoring.Calibration(torch.tensor([0.1, 0.2, 0.3, 0.4])).cut(0.6)
            0.2...
        """
        return _smallest(self.tail, 1 - checked_level(level), 0.0)

    def interval(self, mixture: Mixture, level: float = 0.9) -> Interval:
        """Returns intervals that hold at least a share ``level`` of new targets, over all rows together.

        Arguments:
            mixture: The mixtures of new rows, with batch shape ``(*B)``.
            level: The share, between 0 and 1. Fewer than ``level / (1 - level)`` rows held out support none but the
                whole line.

        Returns:
            The ends, with shape ``(*B, *event)``.

        Raises:
            MixtureError: If the mixture is not of numbers.
        """
        exact, _ = as_numbers(mixture, torch.zeros(mixture.batch_shape + mixture.event_shape))
        cut = torch.tensor(self.cut(level) * (1 - _SLACK), dtype=torch.float64, device=mixture.device)
        cut = cut.expand(mixture.batch_shape)
        return Interval(exact.icdf(cut).to(mixture.dtype), upper_quantile(exact, cut).to(mixture.dtype))


def calibrate(mixture: Mixture, y: Any) -> Calibration:
    """Returns what held-out targets say of the intervals of mixtures.

    Arguments:
        mixture: The mixtures of the held-out rows, with batch shape ``(*B)``.
        y: Their targets, with shape ``(*S, *B)``, or ``(*S, *B, 1)`` for vectors of one feature. They must not have
            been seen in learning.

    Raises:
        MixtureError: If the mixture is not of numbers, shapes do not fit, or there are no targets.

    Example:
        >>> narrow = mx.Mixture(torch.ones(1), mx.Normal(torch.zeros(1), torch.ones(1)))
        >>> held_out = 3 * torch.randn(999, generator=torch.Generator().manual_seed(0))
        >>> interval = mx.scoring.calibrate(narrow, held_out).interval(narrow, 0.9)
        >>> bool(interval.high > 4)
        True
    """
    exact, numbers = as_numbers(mixture, observed_targets(mixture, y))
    if not numbers.numel():
        refuse("y", "some targets", "none")
    rows = numbers.reshape(*numbers.shape, *mixture.event_shape)
    below = (exact.weights * exact.components.cdf(rows)).sum(-1)
    above = (exact.weights * exact.components.survival(rows - 1 if mixture.support.is_discrete else rows)).sum(-1)
    return Calibration(torch.minimum(below, above).detach().flatten().sort().values)


@dataclass(frozen=True, eq=False)
class Alarm:
    """A threshold on log-densities with a false-alarm rate that is known.

    Arguments:
        held_out: The log-densities of ordinary rows that were held out of learning, rising.
        rate: The share of ordinary rows that may be flagged, at most.
    """

    held_out: Tensor
    rate: float

    @property
    def threshold(self) -> float:
        """The log-density in nats below which a row is flagged; minus infinity if there are too few rows for it."""
        return _smallest(self.held_out, self.rate, -math.inf)

    def flags(self, log_density: Tensor) -> Tensor:
        """Returns which rows are less likely than ordinary ones."""
        return log_density < self.threshold

    def p_value(self, log_density: Tensor) -> Tensor:
        """Returns the share of ordinary rows, this one among them, that are no likelier: uniform or above if it is one.

        Example:
            >>> mx.scoring.alarm(torch.tensor([-1.0, -2.0, -3.0]), 0.25).p_value(torch.tensor([-2.5, -9.0]))
            tensor([0.5000, 0.2500])
        """
        below = torch.searchsorted(self.held_out, log_density.to(self.held_out).contiguous(), right=True)
        return (1 + below).to(self.held_out.dtype) / (len(self.held_out) + 1)


def alarm(held_out: Tensor, rate: float = 0.01) -> Alarm:
    """Returns the threshold that flags ordinary rows at no more than this rate.

    Arguments:
        held_out: The log-densities of ordinary rows that were held out of learning, ``(n,)``, in nats.
        rate: The false-alarm rate, between 0 and 1. Fewer than ``1 / rate - 1`` rows support no flag at all.

    Raises:
        MixtureError: If there are no rows, one is NaN, or the rate is not between 0 and 1.

    Example:
        >>> found = mx.scoring.alarm(torch.linspace(-9, 0, 99), rate=0.05)
        >>> found.flags(torch.tensor([-12.0, -3.0]))
        tensor([ True, False])
    """
    if not 0 < rate < 1:
        refuse("rate", "a false-alarm rate between 0 and 1, such as 0.01", rate)
    scores = torch.as_tensor(held_out).detach().flatten()
    if not scores.numel() or bool(scores.isnan().any()):
        refuse("held_out", "log-densities of some rows, free of NaN", "none" if not scores.numel() else "NaN")
    return Alarm(scores.sort().values, float(rate))


def _smallest(rising: Tensor, share: float, none: float) -> float:
    """The j-th smallest of n scores, j being the whole part of ``share (n + 1)``; ``none`` where that is 0."""
    j = math.floor(share * (len(rising) + 1) + _SLACK)
    return rising[j - 1].item() if j else none
