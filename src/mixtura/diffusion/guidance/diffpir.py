r"""Rules without a Jacobian: the clean draw is taken to be round about what is expected, and is moved by that.

:math:`p(x_0|x_t)` becomes :math:`N(E, r^2 I)` for the mean of :math:`p(x_0|x_t, y)`, too, which is then

.. math:: \arg\min_x\; (y - A x)^\top\Sigma_y^{-1}(y - A x) + \frac{|x - E|^2}{r^2}
    = E + r^2 A^\top\big(r^2 A A^\top + \Sigma_y\big)^{-1}(y - A E), \qquad r^2 = \frac{\sigma^2}{\lambda\,\alpha^2} .

So :math:`\hat p(y|x_t) = N(y; A E, r^2 A A^\top + \Sigma_y)`, as for `PGDM`, but where it is differentiated the
covariance of the clean draw is taken to be :math:`r^2 I`, too.
"""

from __future__ import annotations

from dataclasses import dataclass

from torch import Tensor

from ...errors import refuse
from .rule import Likelihood, Rule
from .seen import Seen

__all__ = ["DiffPIR", "moved", "ratio"]


@dataclass(frozen=True, eq=False)
class DiffPIR(Rule):
    r"""Plug-and-play restoration: the nearest draw that agrees with the record.

    Arguments:
        observation: How y was recorded: linear, with Gaussian errors.
        y: What was recorded: ``(M,)``, or one record for each row.
        strength: :math:`\lambda > 0`: the larger, the nearer to what is expected.

    The paper's share of new noise is the sampler's: ``DDIM(eta)``.

    Raises:
        MixtureError: If the strength is not positive.

    Source: Zhu et al. (2023), equation 13 and algorithm 1.

    Example:
        >>> mixture = mx.Mixture(torch.ones(2), mx.Normal(torch.tensor([-2.0, 2.0]), torch.ones(2)))
        >>> rule = mx.diffusion.DiffPIR(mx.observation.AdditiveNoise(0.0, 0.1), torch.tensor(1.0))
        >>> x = mx.diffusion.sample(mixture, mx.diffusion.EDM(), (1000,), 20, guidance=rule)
        >>> x.mean().round(decimals=1)
        tensor(1.)
    """

    strength: float = 1.0

    def __post_init__(self) -> None:
        if not self.strength > 0:
            refuse("strength", "above 0", self.strength)

    def expected(self, seen: Seen) -> Tensor:
        return moved(seen, seen.clean, self._variance(seen))

    def believed(self, seen: Seen) -> Likelihood:
        return Likelihood(seen.record.image(seen.clean), seen.record.seen(self._variance(seen)))

    def _variance(self, seen: Seen) -> float:
        return ratio(seen) ** 2 / self.strength


def ratio(seen: Seen) -> float:
    """The noise in units of the draw; where no signal is left, as if very little were."""
    return seen.place.sigma / max(seen.place.alpha, 1e-8 * seen.place.sigma)


def moved(seen: Seen, centre: Tensor, variance: float) -> Tensor:
    """The mean of a draw that is round about a centre, given what was recorded."""
    if variance == 0:
        return centre
    residual = seen.record.target - seen.record.image(centre)
    return centre + variance * seen.record.back(seen.record.seen(variance).solve(residual))
