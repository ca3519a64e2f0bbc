r"""The Laplace family: distances, not squares, so its centre is a median.

.. math:: \log p(x; \mu, b) = -\frac{|x - \mu|}{b} - \log 2b .

The M-step is a weighted median, which no sum of fixed size determines. Each pass instead sorts rows into shells by
their side and by the power of :math:`2^{1/4}` of their distance from the current centre, and sums responsibilities and
distances in each. From these the expected absolute deviation about every shell's edge is *exact*, so the centre moves
to the best edge, or stays: the likelihood cannot fall, and the distance to the median shrinks about tenfold per
iteration."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, ClassVar, Self

import torch
from torch import Generator, Tensor
from torch.distributions import constraints

from .coordinates import Coordinates
from .exponential_family import _column
from .family import Family
from .statistics import Statistics

__all__ = ["Laplace"]

_BLEND = 0.01  # how much of the deviation of all rows is mixed into that of a first guess
_FINE, _LEAST, _MOST = 4, -200, 80  # shells per octave; exponents of the innermost and outermost edge, over _FINE


@dataclass(frozen=True, eq=False, repr=False, init=False)
class Laplace(Coordinates):
    r"""K Laplace distributions on numbers.

    Arguments:
        loc: The medians :math:`\mu_k`, with shape ``(*B, K)``; ``(*B, K, D)`` for vectors.
        scale: The mean absolute deviations :math:`b_k`, in the same shape; the standard deviation is
            :math:`\sqrt2\,b`.
        vectors: Whether rows are vectors with independent coordinates.

    Raises:
        MixtureError: If a scale is not positive and finite.

    Example:
        >>> mx.Laplace(torch.tensor([0.0, 1.0]), torch.tensor([1.0, 3.0])).variance
        tensor([ 2., 18.])
    """

    arguments: ClassVar = {"loc": constraints.real, "scale": constraints.positive}
    domain = constraints.real
    loc: Tensor
    scale: Tensor

    def __init__(self, loc: Tensor, scale: Tensor | float, *, vectors: bool = False) -> None:
        self._seal(vectors, loc=loc, scale=scale)

    def log_prob(self, x: Tensor) -> Tensor:
        return self._sum(-(self._rows(x) - self.loc).abs() / self.scale - (2 * self.scale).log())

    def statistics(self, x: Tensor, r: Tensor) -> tuple[Tensor, ...]:
        """Returns sums over shells of r and of r times the signed distance in scales, ``(*B, K, *event, shells)``."""
        gap = (self._rows(self._shared(x)) - self.loc) / self.scale
        weighed = _column(r, gap).expand(gap.shape)
        shells = 2 * (_MOST - _LEAST + 2)
        cells = gap.shape[1:].numel()
        index = _shell(gap) + shells * torch.arange(cells, device=x.device).reshape(gap.shape[1:])
        sums = gap.new_zeros(2, cells * shells, dtype=torch.float64)
        values = torch.stack([weighed, weighed * gap]).double().reshape(2, -1)
        sums.index_add_(1, index.reshape(-1), values)
        return tuple(one.reshape(*self.loc.shape, shells) for one in sums)

    def update(self, statistics: Statistics, prior: Any = None) -> Self:
        mass, distance = statistics.moments
        edges = _edges(mass)
        below, fallen = mass.cumsum(-1)[..., :-1], distance.cumsum(-1)[..., :-1]
        cost = edges * (2 * below - mass.sum(-1, keepdim=True)) - 2 * fallen + distance.sum(-1, keepdim=True)
        stay = distance.abs().sum(-1)
        least, best = cost.min(-1)
        better = least < stay
        deviation = torch.where(better, least, stay) / _column(statistics.weight, stay)
        move = torch.where(better, edges[best], 0) * self.scale
        return self._replace(loc=self.loc + move, scale=self.scale * deviation).to(self.dtype)

    @property
    def mean(self) -> Tensor:
        return self.loc

    @property
    def variance(self) -> Tensor:
        return 2 * self.scale.square()

    def _cdf(self, x: Tensor) -> Tensor:
        return _below((x - self.loc) / self.scale)

    def _survival(self, x: Tensor) -> Tensor:
        return _below((self.loc - x) / self.scale)

    def _draw(self, generator: Generator | None) -> Tensor:
        uniform = torch.rand(self.loc.shape, dtype=self.dtype, device=self.device, generator=generator) - 0.5
        return self.loc - self.scale * uniform.sign() * torch.log1p(-2 * uniform.abs())


@dataclass(frozen=True, eq=False, repr=False)
class LaplaceFamily(Family, of=[Laplace]):
    """Laplace components, which start at means with one deviation."""

    vectors: bool = False

    def start(self, x: Tensor, r: Tensor) -> Laplace:
        x = x.reshape(len(x), *(1,) * (r.ndim - 1), *x.shape[1:])
        vectors, r = x.ndim > r.ndim, r.reshape(*r.shape, *(1,) * (x.ndim - r.ndim))
        total, pooled = r.sum(0), r.sum((0, 2), keepdim=True)[0]
        middle = (r * x).sum((0, 2), keepdim=True)[0] / pooled
        mean = torch.where(total > 0, (r * x).sum(0) / total, middle)
        within, whole = ((r * (x - at).abs()).sum((0, 2), keepdim=True)[0] / pooled for at in (mean, middle))
        scale = (1 - _BLEND) * within + _BLEND * whole
        return Laplace._of(loc=mean, scale=scale.expand(mean.shape), vectors=vectors)


def _below(z: Tensor) -> Tensor:
    """The standard cumulative probability, with the digits of the lower tail."""
    tail = 0.5 * (-z.abs()).exp()
    return torch.where(z < 0, tail, 1 - tail)


def _shell(gap: Tensor) -> Tensor:
    """The number of the shell, from the far left over the centre to the far right."""
    level = (_FINE * gap.abs().clamp_min(1e-300 if gap.dtype == torch.float64 else 1e-38).log2()).floor()
    level = level.clamp(_LEAST - 1, _MOST).long() - _LEAST + 1  # 0 for the innermost
    count = _MOST - _LEAST + 2
    return torch.where(gap >= 0, count + level, count - 1 - level)


def _edges(like: Tensor) -> Tensor:
    """The edges between consecutive shells, in scales, ascending; the middle one is the centre itself."""
    right = 2.0 ** (torch.arange(_LEAST, _MOST + 1, dtype=like.dtype, device=like.device) / _FINE)
    return torch.cat([-right.flip(0), right.new_zeros(1), right])
