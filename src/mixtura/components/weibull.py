r"""The Weibull family of lifetimes.

.. math:: \log p(x; c, \lambda) = \log c - c\log\lambda + (c - 1)\log x - w, \qquad w = (x/\lambda)^c .

With :math:`y = \log(x/\lambda)` about the current scale and sums :math:`S_j = \sum r w y^j`, the expected
log-likelihood is concave in c and :math:`a = c\log(\lambda'/\lambda)`,

.. math:: Q(c, a) = N\log c + c \sum r y - N a - e^{-a} \textstyle\sum r e^{c y},

and given c it is largest at :math:`a = \log(\sum r e^{cy}/N)`. The update is one Newton step in log c on what remains,
with :math:`\log\sum r e^{c'y}` from its first two derivatives, so one pass serves; repeated steps reach the maximum.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Any, ClassVar, Self

import torch
from torch import Generator, Tensor
from torch.distributions import constraints

from ..kernels.laws import Law, Matching
from .climbing import Slopes
from .coordinates import Coordinates
from .domains import representable
from .exponential_family import _column
from .family import LogView
from .statistics import Statistics

__all__ = ["Weibull"]

_EULER = 0.5772156649015329
_REACH = 60  # of the logarithm of a hazard, that a row may have at a start
_BLEND = 0.01  # how much of the variance of all rows is mixed into that of a first guess
_STEP = 0.5  # the largest change of log c in one update
_CAREFUL = 0.2  # the share of a step that is sure to climb


@dataclass(frozen=True, eq=False, repr=False, init=False)
class Weibull(Coordinates):
    r"""K Weibull distributions on positive numbers.

    Arguments:
        scale: The scales :math:`\lambda_k` (the 63 per cent quantiles; not a standard deviation), with shape
            ``(*B, K)``; ``(*B, K, D)`` for vectors.
        concentration: The shapes :math:`c_k`, in the same shape; 1 is an exponential distribution.
        vectors: Whether rows are vectors with independent coordinates.

    Raises:
        MixtureError: If a parameter is not positive and finite.

    Example:
        >>> mx.Weibull(torch.tensor([2.0, 1.0]), torch.tensor([1.0, 2.0])).cdf(torch.tensor(1.0))
        tensor([0.3935, 0.6321])
    """

    arguments: ClassVar = {"scale": constraints.positive, "concentration": constraints.positive}
    domain = constraints.positive
    matching = Matching(Law.LIFETIMES, 0)
    scale: Tensor
    concentration: Tensor

    def __init__(self, scale: Tensor, concentration: Tensor | float, *, vectors: bool = False) -> None:
        self._seal(vectors, scale=scale, concentration=concentration)

    def log_prob(self, x: Tensor) -> Tensor:
        bad = ~self.domain.check(x)
        rows = self._rows(torch.where(bad, 1, x))
        gap, logarithm = (rows - self.scale) / self.scale, rows.log()
        y = torch.where(gap.abs() < 0.5, torch.log1p(gap.clamp(-0.5, 0.5)), logarithm - self.scale.log())
        density = self.concentration.log() + self.concentration * y - logarithm - (self.concentration * y).exp()
        return self._within(self._sum(density), x, bad)

    def statistics(self, x: Tensor, r: Tensor) -> tuple[Tensor, ...]:
        """Returns the sums of r y, r w, r w y and r w y squared, each ``(*B, K, *event)``."""
        y = self._rows(self._shared(x).log()) - self.scale.log()
        r = _column(r, y)
        weighed = r * (self.concentration * y).exp()
        return tuple(t.sum(0, dtype=torch.float64) for t in (r * y, weighed, weighed * y, weighed * y * y))

    @property
    def sums_add(self) -> bool:
        return True

    def restated(self, statistics: Statistics, old: Self) -> Statistics:
        """The sums about other parameters, to second order in the change of c."""
        rows, (logs, mass, first, second) = statistics.weight, statistics.moments
        c, moved = self.concentration.double(), (old.scale.double() / self.scale.double()).log()
        gap, grown = c - old.concentration.double(), (c * moved).exp()
        mass = grown * (mass + gap * first + 0.5 * gap.square() * second)
        first, second = grown * (first + gap * second), grown * second
        second = second + 2 * moved * first + moved.square() * mass
        moments = logs + _column(rows, logs) * moved, mass, first + moved * mass, second
        return Statistics(statistics.log_likelihood, rows, moments)

    @property
    def climbs(self) -> bool:
        return True

    def slopes(self, statistics: Statistics, prior: Any = None) -> Slopes:
        r"""In :math:`c\,\Delta\log\lambda` and :math:`\Delta\log c`."""
        logs, mass, first, second = statistics.moments
        rows, c = _column(statistics.weight, logs).expand_as(logs), self.concentration.double()
        parts = (mass - rows, rows + c * (logs - first)), (rows, rows + c.square() * second)
        return Slopes(*(torch.cat([part.flatten(1) for part in pair], 1) for pair in parts))

    def stepped(self, step: Tensor) -> Self:
        wide, steep = (one.reshape(self.scale.shape) for one in step.chunk(2, 1))
        c = self.concentration.double()
        return self._replace(scale=self.scale.double() * (wide / c).exp(), concentration=c * steep.exp()).to(self.dtype)

    @property
    def bold(self) -> bool:
        return True

    def update(self, statistics: Statistics, prior: Any = None) -> Self:
        return self._stepped(statistics, 1.0)

    def cautious(self, statistics: Statistics, prior: Any = None) -> Self:
        return self._stepped(statistics, _CAREFUL)

    def _stepped(self, statistics: Statistics, share: float) -> Self:
        """The update with a share of the step in log c."""
        logs, mass, first, second = statistics.moments
        rows, c = _column(statistics.weight, logs), self.concentration.double()
        mean = first / mass
        variance = (second / mass - mean.square()).clamp_min(0)
        slope = rows + c * (logs - rows * mean)
        bend = c * (logs - rows * mean) - rows * c.square() * variance
        step = share * (-slope / bend.where(bend < 0, -rows)).clamp(-_STEP, _STEP)
        new = c * step.exp()
        log_mass = (mass / rows).log() + mean * (new - c) + 0.5 * variance * (new - c).square()
        scale = self.scale * (log_mass / new).exp()
        return self._replace(scale=scale, concentration=new).to(self.dtype)

    @property
    def mean(self) -> Tensor:
        return self.scale * torch.lgamma(1 + 1 / self.concentration).exp()

    @property
    def variance(self) -> Tensor:
        second = torch.lgamma(1 + 2 / self.concentration).exp()
        return self.scale.square() * (second - torch.lgamma(1 + 1 / self.concentration).exp().square())

    def _cdf(self, x: Tensor) -> Tensor:
        return -torch.expm1(-self._hazard(x))

    def _survival(self, x: Tensor) -> Tensor:
        return torch.exp(-self._hazard(x))

    def _hazard(self, x: Tensor) -> Tensor:
        """The cumulative hazard w, none below 0."""
        return (x.clamp_min(0) / self.scale) ** self.concentration

    def _draw(self, generator: Generator | None) -> Tensor:
        uniform = torch.rand(self.scale.shape, dtype=self.dtype, device=self.device, generator=generator)
        waiting = -torch.log1p(-uniform)
        return representable(self.scale * waiting.clamp_min(torch.finfo(self.dtype).tiny) ** (1 / self.concentration))


@dataclass(frozen=True, eq=False, repr=False)
class WeibullFamily(LogView, of=[Weibull]):
    """Weibull components, which start where logarithms have the moments of the rows."""

    vectors: bool = False

    def start(self, x: Tensor, r: Tensor) -> Weibull:
        y = x.log().reshape(len(x), *(1,) * (r.ndim - 1), *x.shape[1:])
        r = r.reshape(*r.shape, *(1,) * (x.ndim - 1))
        total = r.sum(0)
        pooled = r.sum((0, 2), keepdim=True)[0]
        middle = (r * y).sum((0, 2), keepdim=True)[0] / pooled
        mean = torch.where(total > 0, (r * y).sum(0) / total, middle)
        within, whole = ((r * (y - at).square()).sum((0, 2), keepdim=True)[0] / pooled for at in (mean, middle))
        spread = ((1 - _BLEND) * within + _BLEND * whole).sqrt()
        far = (y - mean).amax((0, 2), keepdim=True)[0].clamp_min(torch.finfo(x.dtype).tiny)
        concentration = torch.minimum(math.pi / math.sqrt(6) / spread, _REACH / far).expand(mean.shape)
        return Weibull._of(scale=(mean + _EULER / concentration).exp(), concentration=concentration, vectors=x.ndim > 1)
