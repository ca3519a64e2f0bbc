r"""The negative binomial family: counts more spread than Poisson's, a Poisson whose rate has a gamma law.

.. math:: \log p(x; s, \pi) = \log\frac{\Gamma(x + s)}{\Gamma(s)\, x!} + s\log(1 - \pi) + x\log\pi .

Such a count is the sum of a Poisson number of groups, :math:`-s\log(1 - \pi)` on average, whose sizes have a
logarithmic law (Quenouille, 1949), and with the groups as missing values EM is

.. math:: \mathbb E[\text{groups} \mid x] = s\,(\psi(x + s) - \psi(s)), \qquad
    s' \log\frac{s' + m}{s'} = \overline{\mathbb E[\text{groups} \mid x]}, \qquad \pi' = \frac m{m + s'},

with m the mean count. No such step lowers the likelihood, but they creep where groups say little of s. So s takes a
step of Newton's on the likelihood itself at the mean m instead, in :math:`\log s`,

.. math:: \frac{dQ}{ds} = \sum_n r_n (\psi(x_n + s) - \psi(s)) - N\log\frac{s + m}{s}, \qquad
    \frac{d^2Q}{ds^2} = \frac{N m}{s (s + m)} - \sum_n r_n (\psi'(s) - \psi'(x_n + s)),

or goes uphill by a factor of e where that is not concave; EM's is taken where it lowered the likelihood. Where counts
are no more spread than Poisson's s grows by a factor every time.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, ClassVar, Self

import torch
from torch import Generator, Tensor
from torch.distributions import constraints

from ..kernels.laws import Law, Matching
from .counts import Counts
from .exponential_family import _column
from .family import Family
from .special.beta_cdf import beta_below
from .special.gamma_draws import gamma
from .special.log_terms import log_beta_power
from .statistics import Statistics

__all__ = ["NegativeBinomial"]

_LEAST, _MOST = 1e-6, 1e6  # of a learned s
_MANY = 1e4
_FAR = 2.0  # the largest change of log s in an update


@dataclass(frozen=True, eq=False, repr=False, init=False)
class NegativeBinomial(Counts):
    r"""K negative binomial distributions on whole numbers of at least 0, held as floating point.

    Arguments:
        total_count: The numbers :math:`s_k > 0` of failures, not necessarily whole, with shape ``(*B, K)``;
            ``(*B, K, D)`` for vectors. The smaller, the heavier the tail.
        probs: The probabilities :math:`\pi_k` of what is counted, in the same shape; the mean is
            :math:`s\pi/(1 - \pi)`.
        vectors: Whether rows are vectors with independent coordinates.

    Raises:
        MixtureError: If a parameter is outside its range.

    Example:
        >>> mx.NegativeBinomial(torch.tensor([2.0, 0.5]), torch.tensor([0.5, 0.8])).mean
        tensor([2.0000, 2.0000])
    """

    arguments: ClassVar = {"total_count": constraints.positive, "probs": constraints.unit_interval}
    domain = constraints.nonnegative_integer
    matching = Matching(Law.COUNTS, 0)
    total_count: Tensor
    probs: Tensor

    def __init__(self, total_count: Tensor | float, probs: Tensor, *, vectors: bool = False) -> None:
        self._seal(vectors, total_count=total_count, probs=probs)
        object.__setattr__(self, "probs", _inside(self.probs))

    def log_prob(self, x: Tensor) -> Tensor:
        bad = ~self.domain.check(x)
        rows, s = self._rows(torch.where(bad, 1, x)), self.total_count
        s, p, n = s.double(), self.probs.double(), rows.double().clamp_min(1)
        some = log_beta_power(s, n, 1 - p, p) - n.log()
        density = torch.where(rows > 0, some, s * torch.log1p(-p)).to(self.dtype)
        return self._within(self._sum(density), x, bad)

    @property
    def sums_add(self) -> bool:
        return True

    def statistics(self, x: Tensor, r: Tensor) -> tuple[Tensor, ...]:
        r"""Returns the sums of r x, of r times the groups expected and of their change, each ``(*B, K, *event)``."""
        x, s = self._rows(self._shared(x)).double(), self.total_count.double()
        r, groups = _column(r.double(), x + s), s * (torch.digamma(x + s) - torch.digamma(s))
        change = s.square() * (torch.polygamma(1, s) - torch.polygamma(1, x + s))
        return (r * x).sum(0), (r * groups).sum(0), (r * change).sum(0)

    def restated(self, statistics: Statistics, old: Self) -> Statistics:
        total, groups, change = statistics.moments
        further = (self.total_count.double() / old.total_count.double()).log()
        moments = total, groups + further * (groups - change), change  # to first order
        return Statistics(statistics.log_likelihood, statistics.weight, moments)

    @property
    def bold(self) -> bool:
        return True

    def update(self, statistics: Statistics, prior: Any = None) -> Self:
        total, groups, change = statistics.moments
        weight, s = _column(statistics.weight, total), self.total_count.double()
        mean = total / weight
        slope = groups - weight * s * torch.log1p(mean / s)
        bend = slope + weight * s * mean / (s + mean) - change
        step = torch.where(bend < 0, -slope / bend, slope.sign())
        return self._at(mean, s * step.clamp(-_FAR, _FAR).exp())

    def cautious(self, statistics: Statistics, prior: Any = None) -> Self:
        return self._at(
            statistics.moments[0] / _column(statistics.weight, statistics.moments[0]), self._creep(statistics)
        )

    def _creep(self, statistics: Statistics) -> Tensor:
        """The s of EM's own step, which together with that of the mean lowers nothing."""
        total, groups, _ = statistics.moments
        mean = total / _column(statistics.weight, total)
        return mean / _odds(groups / total)  # of what is counted: m / s

    def _at(self, mean: Tensor, count: Tensor) -> Self:
        new = torch.where(mean > 0, count.clamp(_LEAST, _MOST), self.total_count.double())
        return self._replace(total_count=new, probs=mean / (mean + new)).to(self.dtype)._settled_inside()

    def _settled_inside(self) -> Self:
        return self._replace(probs=_inside(self.probs))

    # -- from histograms of small counts

    def tabulated(self, cells: int) -> Tensor:
        """Returns the log-probabilities of counts from 0 on, log s and the mean: ``(*B, K, *event, cells + 2)``."""
        each = self._replace(vectors=False)
        counts = torch.arange(cells, dtype=self.dtype).reshape(-1, *(1,) * (self.total_count.ndim - 1))
        parts = each.log_prob(counts).movedim(0, -1), self.total_count.log().unsqueeze(-1), self.mean.unsqueeze(-1)
        return torch.cat(parts, -1)

    def of_table(self, table: Tensor) -> Self:
        """Returns the components of a table, as `tabulated` made it."""
        count, mean = table[..., -2].exp(), table[..., -1]
        return self._replace(total_count=count, probs=mean / (mean + count))._settled_inside()

    @property
    def remark(self) -> str:
        if not bool((self.total_count > _MANY).any()):
            return ""
        return "Counts are no more spread than Poisson's in some component: a Poisson would do as well there."

    @property
    def mean(self) -> Tensor:
        return self.total_count * self.probs / (1 - self.probs)

    @property
    def variance(self) -> Tensor:
        return self.mean / (1 - self.probs)

    def collapsed(self, floor: Tensor) -> Tensor:
        return self.broken()

    def _up_to(self, n: Tensor) -> Tensor:
        p = self.probs.double()
        return beta_below(self.total_count.double(), n + 1, 1 - p, p)

    def _beyond(self, n: Tensor) -> Tensor:
        p = self.probs.double()
        return beta_below(n + 1, self.total_count.double(), p, 1 - p)

    def _draw(self, generator: Generator | None) -> Tensor:
        rate = gamma(self.total_count, generator) * self.probs / (1 - self.probs)
        return torch.poisson(rate, generator=generator)


@dataclass(frozen=True, eq=False, repr=False)
class NegativeBinomialFamily(Family, of=[NegativeBinomial]):
    """Negative binomial components, which start at means with one excess of variance."""

    vectors: bool = False

    def start(self, x: Tensor, r: Tensor) -> NegativeBinomial:
        x = x.reshape(len(x), *(1,) * (r.ndim - 1), *x.shape[1:])
        vectors, r = x.ndim > r.ndim, r.reshape(*r.shape, *(1,) * (x.ndim - r.ndim))
        total, pooled = r.sum(0), r.sum((0, 2), keepdim=True)[0]
        whole = (r * x).sum((0, 2), keepdim=True)[0] / pooled
        whole = whole.clamp_min(torch.finfo(x.dtype).eps)  # of counts that are all zero, too
        mean = torch.where(total > 0, (r * x).sum(0) / total, whole).clamp_min(1e-3 * whole)
        excess = (r * (x - mean).square()).sum((0, 2), keepdim=True)[0] / pooled - whole
        count = (mean.square() / excess.clamp_min(0.01 * whole)).clamp(0.05, 100)
        return NegativeBinomial._of(total_count=count, probs=_inside(mean / (mean + count)), vectors=vectors)


def _inside(probability: Tensor) -> Tensor:
    """Moves probabilities of exactly 0 or 1 inside by rounding: small ones are small means, and keep their digits."""
    finfo = torch.finfo(probability.dtype)
    return probability.clamp(finfo.tiny, 1 - finfo.eps)


def _odds(share: Tensor) -> Tensor:
    r"""Returns the u for which :math:`\log(1 + u)/u` is a share between 0 and 1.

    Newton's method, down from a bound that is near (Chatzigeorgiou, 2013), on a function that is concave.
    """
    less = (1 - share).clamp(torch.finfo(share.dtype).eps, 1 - torch.finfo(share.dtype).eps)
    rest = (-torch.log1p(-less) - less).clamp_min(0)
    odds = torch.maximum((less + (2 * rest).sqrt() + rest) / (1 - less), 2 * less)
    for _ in range(_STEPS):
        odds = odds - (torch.log1p(odds) - (1 - less) * odds) / (less - odds / (1 + odds))
    return odds


_STEPS = 5
