r"""The smallest sets that are to hold a share of the targets: all numbers whose density is above a threshold,

.. math:: \{x : p(x) \ge t\}, \qquad P\big(p(Y) \ge t\big) = 1 - \alpha ,

several intervals where a mixture has several modes (Hyndman, 1996, Computing and graphing highest density regions).

Places are laid around every component, a step of an eighth of its scale apart in the middle and wider further out, and
where the density turns between three of them that turn is sought; from one place to the next a density then rises or
falls. So for a threshold each end is found by halving, and the threshold by steps along the secant, or halving again.
"""

from __future__ import annotations

from typing import NamedTuple

import torch
from torch import Tensor

from ..errors import NotClosedForm
from ..mixture import Mixture
from .intervals import checked_level
from .targets import as_numbers

__all__ = ["Region", "highest_density"]

_PLACES, _FAR = 81, 5.0  # around a component, from -sinh(5) to sinh(5) scales
_HALVINGS, _STEPS = 52, 60
_NEAR = 1e-10  # of the level


class Region(NamedTuple):
    """Intervals that together hold a share of the probability, where the density is highest.

    Arguments:
        low: Their lower ends in rising order, ``(*B, M)``, M the most of one mixture; NaN where one has fewer.
        high: Their upper ends, in the same shape.
        log_density: The log-density at their ends, ``(*B)``, in nats.
    """

    low: Tensor
    high: Tensor
    log_density: Tensor

    @property
    def width(self) -> Tensor:
        """How wide all intervals of a mixture are together, ``(*B)``."""
        return (self.high - self.low).nansum(-1)

    def holds(self, y: Tensor) -> Tensor:
        """Returns which targets ``(*S, *B)`` lie in one of the intervals.

        Example:
            >>> region = mx.scoring.Region(torch.tensor([0.0, 4.0]), torch.tensor([1.0, 5.0]), torch.tensor(0.0))
            >>> region.holds(torch.tensor([0.5, 2.0, 5.0]))
            tensor([ True, False,  True])
        """
        return ((self.low <= y.unsqueeze(-1)) & (y.unsqueeze(-1) <= self.high)).any(-1)


@torch.no_grad()
def highest_density(mixture: Mixture, level: float = 0.9) -> Region:
    """Returns the smallest region that holds a share of the probability: several intervals where there are modes.

    Arguments:
        mixture: A mixture of numbers, or of vectors of one feature, with batch shape ``(*B)``.
        level: The probability within, between 0 and 1.

    Raises:
        MixtureError: If the mixture is not of numbers, or the level not between 0 and 1.
        NotClosedForm: If the family has no distribution function, or counts.

    Example:
        >>> two = mx.Mixture(torch.ones(2), mx.Normal(torch.tensor([0.0, 9.0]), torch.ones(2)))
        >>> found = mx.scoring.highest_density(two, 0.95)
        >>> found.low, found.high
        (tensor([-1.9600,  7.0400]), tensor([ 1.9600, 10.9600]))
    """
    wanted = checked_level(level)
    exact, _ = as_numbers(mixture, torch.zeros(mixture.batch_shape + mixture.event_shape))
    if mixture.support.is_discrete:
        raise NotClosedForm("Regions of highest density are of densities; of counts take `central_interval`.")
    law = _Law(exact.detach())
    above = law.cut(law.threshold(wanted))
    low, high = (torch.where(above.valid, end, torch.nan).movedim(0, -1) for end in (above.low, above.high))
    return Region(*(tensor.to(mixture.dtype) for tensor in (low, high, above.log_density)))


class _Cut(NamedTuple):
    """The intervals above a threshold, ``(M, *B)``, which of them there are, and the threshold."""

    low: Tensor
    high: Tensor
    valid: Tensor
    log_density: Tensor


class _Law:
    """A density on the line, as far as regions ask it: at places ``(G, *B)`` between which it rises or falls."""

    def __init__(self, mixture: Mixture) -> None:
        self.mixture = mixture
        x = _places(mixture)
        x = torch.cat([x[:1], x, x[-1:]])  # beyond the first and last there is nothing
        self.x = torch.cat([x, self._turns(x)]).sort(0).values
        self.density = self.log_prob(self.x)
        self.density[0] = self.density[-1] = -torch.inf

    def log_prob(self, x: Tensor) -> Tensor:
        return self.mixture.log_prob(x.reshape(x.shape + self.mixture.event_shape))

    def _turns(self, x: Tensor) -> Tensor:
        """Where the density is highest or lowest between a place's neighbours; the place itself where it only rises."""
        f = self.log_prob(x)
        sign = torch.where(f[1:-1] >= torch.maximum(f[:-2], f[2:]), 1.0, -1.0)
        turning = ((f[1:-1] - f[:-2]) * (f[2:] - f[1:-1])) <= 0
        which = _first(turning)
        low, high, sign = x[:-2].gather(0, which), x[2:].gather(0, which), sign.gather(0, which)
        for _ in range(_HALVINGS):
            left, right = low + (high - low) / 3, high - (high - low) / 3
            better = sign * self.log_prob(left) >= sign * self.log_prob(right)
            low, high = torch.where(better, low, left), torch.where(better, right, high)
        return (low + high) / 2

    def cut(self, log_density: Tensor) -> _Cut:
        """The intervals where the density is above a threshold."""
        above = self.density >= log_density
        rising, falling = ~above[:-1] & above[1:], above[:-1] & ~above[1:]
        begin, end = _first(rising), _first(falling)
        outside, inside = torch.cat([begin, end + 1]), torch.cat([begin + 1, end])
        low, high = self._ends(self.x.gather(0, outside), self.x.gather(0, inside), log_density).chunk(2)
        return _Cut(low, high, rising.gather(0, begin), log_density)

    def _ends(self, outside: Tensor, inside: Tensor, log_density: Tensor) -> Tensor:
        """Where the density passes a threshold between places on either side of it."""
        for _ in range(_HALVINGS):
            middle = (outside + inside) / 2
            above = self.log_prob(middle) >= log_density
            outside, inside = torch.where(above, outside, middle), torch.where(above, middle, inside)
        return inside

    def mass(self, log_density: Tensor) -> Tensor:
        """The probability where the density is above a threshold."""
        found = self.cut(log_density)
        low, high = (end.reshape(end.shape + self.mixture.event_shape) for end in (found.low, found.high))
        held = (self.mixture.cdf(high) - self.mixture.cdf(low)).reshape(found.low.shape)
        return torch.where(found.valid, held, 0.0).sum(0)

    def threshold(self, level: float) -> Tensor:
        """The threshold above which the density holds so much."""
        finite = self.density.isfinite()
        low = self.density.masked_fill(~finite, torch.inf).amin(0)
        high = self.density.masked_fill(~finite, -torch.inf).amax(0)
        more, less = self.mass(low), torch.zeros_like(low)
        for step in range(_STEPS):
            share = ((more - level) / (more - less)).clamp(0.01, 0.99) if step % 3 else 0.5
            middle = low + share * (high - low)
            held = self.mass(middle)
            enough = held >= level
            low, more = torch.where(enough, middle, low), torch.where(enough, held, more)
            high, less = torch.where(enough, high, middle), torch.where(enough, less, held)
            if bool(((more - level) <= _NEAR).all()):
                break
        return low


def _first(mask: Tensor) -> Tensor:
    """The numbers of the entries where a mask ``(G, *B)`` holds: as many as the most of one column, one at least."""
    most = max(1, int(mask.sum(0).max())) if mask.numel() else 1
    return (~mask).to(torch.uint8).argsort(dim=0, stable=True)[:most]


def _places(mixture: Mixture) -> Tensor:
    """Places around every component, within its support, ``(G, *B)``."""
    components = mixture.components
    mean, scale = (one.reshape(mixture.logits.shape) for one in (components.mean, components.variance.sqrt()))
    quarter = torch.tensor([0.25, 0.5, 0.75], dtype=mean.dtype, device=mean.device)
    quarter = quarter.reshape(3, *[1] * len(mixture.batch_shape)).expand(3, *mixture.batch_shape)
    lower, middle, upper = mixture.icdf(quarter).reshape(quarter.shape).unsqueeze(-1)
    mean, scale = torch.where(mean.isfinite(), mean, middle), torch.where(scale.isfinite(), scale, upper - lower)
    steps = torch.linspace(-_FAR, _FAR, _PLACES, dtype=mean.dtype, device=mean.device).sinh()
    x = (mean.unsqueeze(-1) + scale.unsqueeze(-1) * steps).flatten(-2)
    low, high = (end.unsqueeze(-1) for end in _support(mixture))
    return x.clamp(low, high).movedim(-1, 0).sort(0).values


def _support(mixture: Mixture) -> tuple[Tensor, Tensor]:
    """Where the support of all components begins and ends, ``(*B)``."""
    low, high = (end.reshape(mixture.logits.shape) for end in mixture.components.ends)
    return low.amin(-1), high.amax(-1)
