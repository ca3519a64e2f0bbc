r"""Decoupled annealing: the clean draw is round about the end of the probability flow, and noise is put on anew.

:math:`p(x_0|x_t)` becomes :math:`N(F(x_t), r^2 I)`, with F the end of the flow from :math:`x_t`, and
:math:`r = c\,\sigma/\alpha`. Given y that is Gaussian, with

.. math:: m = F + r^2 A^\top V^{-1}(y - A F), \qquad C = r^2 I - r^4 A^\top V^{-1} A, \qquad
    V = r^2 A A^\top + \Sigma_y,

which the paper draws from by Langevin steps and which is exact here. A step then forgets :math:`x_t`:
:math:`x_s = \alpha_s x_0 + \sigma_s z`, so its kernel is :math:`N(\alpha_s m, \alpha_s^2 C + \sigma_s^2 I)`. That is
what the sampler `Ancestral` draws; others take m for what is to be expected.
"""

from __future__ import annotations

from dataclasses import dataclass
from itertools import pairwise

from torch import Tensor

from ...components import Gaussian, Normal, Spherical
from ...components.gaussian_algebra import expanded
from ...errors import refuse
from ...mixture import Mixture
from ..grids import LogSNRGrid
from ..models import Model
from ..places import Place, places
from ..samplers import DDIM, Here
from ..samplers.sampler import Draw
from ..schedules import Schedule
from .diffpir import moved, ratio
from .rule import Likelihood, Rule
from .seen import Seen

__all__ = ["DAPS"]

_LEAST = 0.002  # the ratio of noise to signal below which the end of the flow is what is expected


@dataclass(frozen=True, eq=False)
class DAPS(Rule):
    """Decoupled noise annealing.

    Arguments:
        observation: How y was recorded: linear, with Gaussian errors.
        y: What was recorded: ``(M,)``, or one record for each row.
        schedule: How signal and noise change with time, to follow the flow; without it F is E, as by one step.
        steps: How many of DDIM's, at equal distances of the log ratio of signal to noise, go to the end of the flow.
        scale: c, positive: how far from its end the clean draw is taken to be, in units of the noise.

    Raises:
        MixtureError: If there is less than one step, or the scale is not positive.

    Source: Zhang, Chu, Berner, Meng, Anandkumar and Song (2024), algorithm 1.

    Example:
        >>> mixture = mx.Mixture(torch.ones(2), mx.Normal(torch.tensor([-2.0, 2.0]), torch.ones(2)))
        >>> rule = mx.diffusion.DAPS(mx.observation.AdditiveNoise(0.0, 0.1), torch.tensor(1.0), mx.diffusion.EDM())
        >>> x = mx.diffusion.sample(mixture, mx.diffusion.EDM(), (1000,), 20, guidance=rule)
        >>> x.mean().round(decimals=1)
        tensor(1.)
    """

    schedule: Schedule | None = None
    steps: int = 5
    scale: float = 1.0

    def __post_init__(self) -> None:
        if isinstance(self.steps, bool) or not isinstance(self.steps, int) or self.steps < 1:
            refuse("steps", "a whole number of at least 1", repr(self.steps))
        if not self.scale > 0:
            refuse("scale", "above 0", self.scale)

    def expected(self, seen: Seen) -> Tensor:
        return moved(seen, self._end(seen), self._variance(seen))

    def believed(self, seen: Seen) -> Likelihood:
        return Likelihood(seen.record.image(self._end(seen)), seen.record.seen(self._variance(seen)))

    def reverse(self, model: Model, x: Tensor, late: Place, early: Place) -> Mixture:
        seen = Seen.of(self.observation, self.y, model, x, late)
        centre = self._end(seen).unsqueeze(-2)
        one = centre.new_ones(1)
        about = expanded(Spherical(self._variance(seen) * one), centre.shape[:-2])
        law = self._posterior(seen, Gaussian._of(location=centre, structure=about))
        found = law.components.gaussian
        structure = found.structure.scaled(early.alpha * one)
        structure = structure.plus_spherical(early.sigma**2 * one) if early.sigma > 0 else structure
        then = Gaussian._of(location=early.alpha * found.location, structure=structure)
        return law._of(law.logits, law.components.with_gaussian(then))

    def _posterior(self, seen: Seen, gaussian: Gaussian) -> Mixture:
        """The law of the clean draw of each row, given what was recorded."""
        family = gaussian if seen.event else Normal.of(gaussian)
        law = Mixture._of(gaussian.location.new_zeros(gaussian.batch_shape), family)
        return law.posterior(self.observation, seen.shaped(seen.record.y.expand(*gaussian.batch_shape[:-1], -1)))

    def _end(self, seen: Seen) -> Tensor:
        """Where the probability flow ends, as vectors."""
        if self.schedule is None or seen.place.ratio <= _LEAST:
            return seen.clean
        grid = LogSNRGrid(least=_LEAST, most=min(seen.place.ratio, 1 / _LEAST))
        first, *others = places(self.schedule, grid.times(self.schedule, self.steps))
        rows = seen.rows
        for now, then in pairwise([seen.place, *others]):
            rows = DDIM().step(Here(rows, now, seen.model, self.schedule), then, Draw())
        return seen.vectors(rows)

    def _variance(self, seen: Seen) -> float:
        return (self.scale * ratio(seen)) ** 2
