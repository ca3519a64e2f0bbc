r"""Filtering posterior sampling: the record is diffused as the draw is, and compared with the noisy draw itself.

With :math:`y_t = \alpha y + \sigma A\varepsilon`, and the same noise in :math:`x_t = \alpha x_0 + \sigma\varepsilon`,
:math:`y_t | x_t \sim N(A x_t, \alpha^2\Sigma_y)`. The paper draws a path of :math:`y_t` and lets particles follow it.
Here that draw is integrated out, so that each row has its own answer and no particles are needed:

.. math:: \hat p(y|x_t) = N\Big(y;\; \frac{A x_t}{\alpha},\; \frac{\sigma^2}{\alpha^2}A A^\top + \Sigma_y\Big), \qquad
    \hat x_0 = E + \frac{\sigma^2}{\alpha^2}A^\top\Big(\frac{\sigma^2}{\alpha^2}A A^\top + \Sigma_y\Big)^{-1}
    \Big(y - \frac{A x_t}{\alpha}\Big) .

It is :math:`p(y|x_t)` for a flat law of the clean draw: nothing is asked of the model but E.
"""

from __future__ import annotations

from dataclasses import dataclass

from torch import Tensor

from ...errors import refuse
from .diffpir import moved
from .rule import Likelihood, Rule
from .seen import Seen

__all__ = ["FPS"]


@dataclass(frozen=True, eq=False)
class FPS(Rule):
    """Filtering, for each row on its own.

    Arguments:
        observation: How y was recorded: linear, with Gaussian errors.
        y: What was recorded: ``(M,)``, or one record for each row.

    Raises:
        MixtureError: If a time is asked for at which no signal is left.

    Source: Dou and Song (2024), with its path of noisy records integrated out.

    Example:
        >>> mixture = mx.Mixture(torch.ones(2), mx.Normal(torch.tensor([-2.0, 2.0]), torch.ones(2)))
        >>> rule = mx.diffusion.FPS(mx.observation.AdditiveNoise(0.0, 0.1), torch.tensor(1.0))
        >>> x = mx.diffusion.sample(mixture, mx.diffusion.EDM(), (1000,), 20, guidance=rule)
        >>> x.mean().round(decimals=1)
        tensor(1.)
    """

    def expected(self, seen: Seen) -> Tensor:
        flat = _flat(seen)
        return seen.clean + moved(seen, flat, seen.place.ratio**2) - flat

    def believed(self, seen: Seen) -> Likelihood:
        return Likelihood(seen.record.image(_flat(seen)), seen.record.seen(seen.place.ratio**2))


def _flat(seen: Seen) -> Tensor:
    """The clean draw to be expected if nothing were known of it before."""
    if seen.place.alpha == 0:
        refuse("grid", "of times at which some signal is left: FPS divides by it", f"t = {seen.place.t:g}")
    return seen.x / seen.place.alpha
