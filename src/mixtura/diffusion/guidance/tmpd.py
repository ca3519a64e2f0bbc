r"""Tweedie moment projection: :math:`p(x_0|x_t)` is taken to be Gaussian, with its own mean and covariance.

.. math:: \hat p(y|x_t) = N\big(y;\; A E,\; A\,\mathrm{Cov}[x_0|x_t]A^\top + \Sigma_y\big), \qquad
    \mathrm{Cov}[x_0|x_t] = \frac{\sigma^2}{\alpha}\frac{\partial E}{\partial x_t} .

Both moments of y are exact; what is lost is the rest of its law, and how the covariance changes with :math:`x_t`. Of
one Gaussian nothing is lost. The matrix takes M products; cheaper forms keep only so much of it:

- its diagonal, still by M products, so that nothing is to be inverted;
- the sums of its rows, by one product, :math:`A\,\mathrm{Cov}\,A^\top 1`: its diagonal, if it is diagonal. A sum may
  be negative where coordinates are opposed; then nothing is taken of it.
"""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor

from .errors import Alone, Errors, errors
from .rule import LikelihoodRule
from .seen import Seen

__all__ = ["TMPD", "DiagonalTMPD", "RowSumTMPD"]


@dataclass(frozen=True, eq=False)
class TMPD(LikelihoodRule):
    """Tweedie moment projected diffusion, with the covariance of what is recorded whole.

    Arguments:
        observation: How y was recorded: linear, with Gaussian errors.
        y: What was recorded: ``(M,)``, or one record for each row.

    Source: Boys, Girolami, Pidstrigach, Reich, Mosca and Akyildiz (2023), equation 12.
    """

    def spread(self, seen: Seen) -> Errors:
        return errors(seen.record.image(_crossed(seen)).movedim(0, -1) + seen.record.noise.whole())


@dataclass(frozen=True, eq=False)
class DiagonalTMPD(LikelihoodRule):
    """Tweedie moment projected diffusion, with the variances of what is recorded.

    Arguments:
        observation: As for `TMPD`.
        y: As for `TMPD`.

    Source: Boys, Girolami, Pidstrigach, Reich, Mosca and Akyildiz (2023).
    """

    def spread(self, seen: Seen) -> Errors:
        own = torch.stack([one[..., i] for i, one in enumerate(seen.record.image(_crossed(seen)))], -1)
        return Alone(own + seen.record.noise.variance)


@dataclass(frozen=True, eq=False)
class RowSumTMPD(LikelihoodRule):
    """Tweedie moment projected diffusion, with the sums of the rows of the covariance of what is recorded.

    Arguments:
        observation: As for `TMPD`.
        y: As for `TMPD`.

    Source: Boys, Girolami, Pidstrigach, Reich, Mosca and Akyildiz (2023), for records of many numbers.
    """

    def spread(self, seen: Seen) -> Errors:
        sums = seen.seen_covariance(torch.ones_like(seen.residual))
        return Alone(sums.clamp_min(0) + seen.record.noise.variance)


def _crossed(seen: Seen) -> Tensor:
    """The covariance of the clean draw times each row of A, ``(M, *S, D)``."""
    return seen.covariance(seen.record.axes(seen.x))
