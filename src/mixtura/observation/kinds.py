r"""Rows that limits tell alike: of each coordinate it is known whether it was recorded, limited, or neither.

Which is which depends on the rows alone. So the density of rows of one kind is one formula, wherever parameters lie:
with the recorded coordinates p, and one other one c between limits l and u,

.. math:: p(y|k) = N(y_p | \mu_p, V_p)\; P\big(l < x_c < u \,\big|\, x_p = y_p\big) ,

and where coordinates are independent, a product of such over coordinates. Only where several correlated coordinates lie
between limits is there none, and `Box` integrates.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Self

import torch
from torch import Generator, Tensor

from ..components import Component, Gaussian
from ..components.observation import Observation, over
from ..mixture import Mixture
from .log_mass import log_mass

if TYPE_CHECKING:
    from .box import Box

__all__ = ["OfKind", "kinds_of"]

_UNKNOWN, _RECORDED, _BELOW, _ABOVE, _BETWEEN = range(5)


def kinds_of(low: Tensor, high: Tensor) -> Tensor:
    """Returns what limits ``(..., D)`` tell of each coordinate, as whole numbers: zero where they tell nothing."""
    bounded, floored = high.isfinite(), low.isfinite()
    between = torch.where(low == high, _RECORDED, _BETWEEN)
    one = torch.where(bounded, _BELOW, torch.where(floored, _ABOVE, _UNKNOWN))
    return torch.where(bounded & floored, between, one)


@dataclass(frozen=True, eq=False, repr=False)
class OfKind(Observation):
    """Rows of one kind, whose limits are known already.

    Arguments:
        box: How they were recorded, resolved.
        low: Their lower limits, with shape ``(N, 1, D)``.
        high: Their upper limits.
        kind: What they tell of each coordinate, as `kinds_of` has it.
    """

    box: Box
    low: Tensor
    high: Tensor
    kind: tuple[int, ...]

    @property
    def led(self) -> tuple[Tensor, ...]:
        return (self.low, self.high, *self.box.led)

    def at(self, side: Sequence[Tensor]) -> Self:
        pieces = list(side)
        low, high = (pieces.pop(0) if len(one) > 1 else one for one in (self.low, self.high))
        return self._replace(low=low, high=high, box=self.box.at(pieces))

    @property
    def row_by_row(self) -> bool:
        return True

    @property
    def selects(self) -> bool:
        return self.box.selects

    def density(self, components: Component, y: Tensor) -> Tensor:
        """Returns the log-density of what was recorded, ``(*S, *B, K)``; where rows are selected, before that."""
        if set(self.kind) == {_RECORDED}:
            return components.log_prob(y)
        gaussian = components.gaussian_law
        found = _inside(gaussian, self.kind, *_beside(self.low, self.high, y.ndim - len(components.event_shape)))
        return self.box.inside(components, y).log_prob if found is None else found

    def log_prob(self, components: Component, y: Tensor) -> Tensor:
        return self.box.log_prob(components, y)

    def log_joint(self, mixture: Mixture, y: Tensor) -> Tensor:
        return mixture.logits + self.density(mixture.components, over(y, mixture.components))

    def log_recorded(self, mixture: Mixture) -> Tensor:
        low, high = self.box.selection() or (self.low[:0], self.high[:0])
        kinds = kinds_of(low, high).flatten(0, 1)
        alike = len(kinds) > 0 and bool((kinds == kinds[0]).all())
        limits = _beside(low, high, mixture.logits.ndim)
        gaussian = mixture.components.gaussian_law
        found = _inside(gaussian, tuple(kinds[0].tolist()), *limits) if alike else None
        share = self.box.recorded_part(mixture.components).log_prob if found is None else found.squeeze(0)
        return torch.logsumexp(mixture.logits + share, -1)

    def record(self, x: Tensor, labels: Tensor, generator: Generator | None, components: Component | None) -> Tensor:
        return self.box.record(x, labels, generator, components)

    def complete(self, components: Component, y: Tensor, r: Tensor) -> tuple[Tensor, ...]:
        return self.box.complete(components, y, r)


def _beside(low: Tensor, high: Tensor, leading: int) -> tuple[Tensor, Tensor]:
    """Limits ``(N, 1, D)`` where they meet components, ``(N, 1, ..., 1, D)``, of batches of so many dimensions."""
    low, high = (one.reshape(len(one), *(1,) * leading, one.shape[-1]) for one in (low, high))
    return low, high


def _inside(gaussian: Gaussian, kind: Sequence[int], low: Tensor, high: Tensor) -> Tensor | None:
    """The log-density of limits of one kind under each component; none where there is no formula."""
    if gaussian.structure.elementwise:
        return _elementwise(gaussian, kind, low, high)
    points = [place for place, one in enumerate(kind) if one == _RECORDED]
    others = [place for place, one in enumerate(kind) if one > _RECORDED]
    return _correlated(gaussian, kind, points, others, low, high) if len(others) < 2 else None


def _elementwise(gaussian: Gaussian, kind: Sequence[int], low: Tensor, high: Tensor) -> Tensor:
    """Coordinates that are independent given k, each by its own kind."""
    mean, scale = gaussian.location, gaussian.variance.sqrt()
    own = [_WAYS[one](low[..., d], high[..., d], mean[..., d], scale[..., d]) for d, one in enumerate(kind)]
    return sum(own[1:], own[0])


def _correlated(
    gaussian: Gaussian, kind: Sequence[int], points: list[int], others: list[int], low: Tensor, high: Tensor
) -> Tensor:
    """Points, and the one coordinate between limits given them."""
    mean, covariance = gaussian.location, gaussian.covariance
    if points:
        density, centre, left = _given(covariance, low[..., points] - mean[..., points], points, others)
    else:
        density, centre = torch.zeros_like(mean[..., 0]), torch.zeros_like(mean[..., others])
        left = covariance[..., others, :][..., others]
    for place, one in enumerate(others):
        middle, scale = mean[..., one] + centre[..., place], left[..., place, place].sqrt()
        density = density + _WAYS[kind[one]](low[..., one], high[..., one], middle, scale)
    return density


def _given(covariance: Tensor, gap: Tensor, points: list[int], others: list[int]) -> tuple[Tensor, Tensor, Tensor]:
    """The log-density of points, and mean shift and covariance of others given them."""
    factor = torch.linalg.cholesky_ex(covariance[..., points, :][..., points])[0]
    cross = covariance[..., points, :][..., others]
    z = torch.linalg.solve_triangular(factor, gap.unsqueeze(-1), upper=False)
    half = torch.linalg.solve_triangular(factor, cross, upper=False)
    normal = _density_of(z.squeeze(-1)).sum(-1) - factor.diagonal(dim1=-2, dim2=-1).log().sum(-1)
    left = covariance[..., others, :][..., others] - half.mT @ half
    return normal, (half.mT @ z).squeeze(-1), left


def _density_of(z: Tensor) -> Tensor:
    return -0.5 * (z.square() + _LOG_TWO_PI)


_LOG_TWO_PI = math.log(2 * math.pi)
_WAYS: Sequence[Callable[[Tensor, Tensor, Tensor, Tensor], Tensor]] = (
    lambda low, high, mean, scale: torch.zeros_like(mean),
    lambda low, high, mean, scale: _density_of((low - mean) / scale) - scale.log(),
    lambda low, high, mean, scale: torch.special.log_ndtr((high - mean) / scale),
    lambda low, high, mean, scale: torch.special.log_ndtr((mean - low) / scale),
    lambda low, high, mean, scale: log_mass((low - mean) / scale, (high - mean) / scale),
)
"""What limits say of a coordinate, by its kind; those that are infinite are not touched, and so have no gradient."""
