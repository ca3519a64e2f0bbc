r"""Pseudo-inverse guidance: what is unknown of the clean draw is taken to be round.

:math:`p(x_0|x_t)` becomes :math:`N(E, r^2 I)`, so :math:`\hat p(y|x_t) = N(y; A E, r^2 A A^\top + \Sigma_y)`, with

.. math:: r^2 = \frac{v\,\sigma^2}{\sigma^2 + v\,\alpha^2},

which is exact for data of N(0, v I).
"""

from __future__ import annotations

from dataclasses import dataclass

from .errors import Errors
from .rule import LikelihoodRule
from .seen import Seen

__all__ = ["PGDM"]


@dataclass(frozen=True, eq=False)
class PGDM(LikelihoodRule):
    """Pseudo-inverse guidance (ΠGDM).

    Arguments:
        observation: How y was recorded: linear, with Gaussian errors.
        y: What was recorded: ``(M,)``, or one record for each row.
        variance: v, what the data is taken to vary by.

    Source: Song, Vahdat, Mardani and Kautz (2023), with the variance of its equation 9 for any ratio of signal.

    Example:
        >>> mixture = mx.Mixture(torch.ones(2), mx.Normal(torch.tensor([-2.0, 2.0]), torch.ones(2)))
        >>> rule = mx.diffusion.PGDM(mx.observation.AdditiveNoise(0.0, 0.1), torch.tensor(1.0))
        >>> x = mx.diffusion.sample(mixture, mx.diffusion.EDM(), (1000,), 20, guidance=rule)
        >>> x.mean().round(decimals=1)
        tensor(1.)
    """

    variance: float = 1.0

    def spread(self, seen: Seen) -> Errors:
        noise, signal = seen.place.sigma**2, seen.place.alpha**2
        return seen.record.seen(self.variance * noise / (noise + self.variance * signal))
