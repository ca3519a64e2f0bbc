"""Values known up to limits: those beyond are recorded as the limit, or not at all."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, Self

import torch
from torch import Generator, Tensor

from ..components import Component
from ..components.observation import Frame
from ..errors import MixtureError, refuse
from .base import aligned
from .box import Box, as_rows, beside, placed
from .interval import interval

__all__ = ["Censored", "Truncated"]

_TRIES = 1000


class _Limited(Box):
    """An observation with a lower and an upper limit."""

    lower: Tensor
    upper: Tensor
    per_row: bool | None

    def _seal(self, lower: Any, upper: Any, per_row: bool | None) -> None:
        low, high = _ordered(lower, upper)
        for name, value in (("lower", low), ("upper", high), ("per_row", per_row), ("missing", False)):
            object.__setattr__(self, name, value)

    def resolve(self, frame: Frame) -> Self:
        if self.lower.ndim == 3:
            return self
        low, high = (
            placed(name, one, frame, self.per_row) for name, one in (("lower", self.lower), ("upper", self.upper))
        )
        rows = max(len(low), len(high))
        return self._replace(lower=low.expand(rows, 1, -1), upper=high.expand(rows, 1, -1))


@dataclass(frozen=True, eq=False, repr=False, init=False)
class Censored(_Limited):
    """Values beyond a limit are recorded as the limit: a detection limit, an upper limit, a saturated detector.

    Arguments:
        lower: What is at or below is only known to be so; a number, ``(D,)`` per coordinate, or one more dimension
            in front for one per row. None where there is no such limit.
        upper: The same at the other end.
        per_row: Whether a dimension in front counts rows where that is not clear, as in `AdditiveNoise`.

    Densities are with respect to length inside and count at the limits. See `Box` for what is exact.

    Raises:
        MixtureError: If limits are crossed or NaN.

    Example:
        >>> clean = mx.Mixture(torch.ones(1), mx.Normal(torch.zeros(1), torch.ones(1)))
        >>> clean.observed(mx.observation.Censored(upper=0.0)).log_prob(torch.tensor(0.0)).exp()
        tensor(0.5000)
    """

    lower: Tensor
    upper: Tensor
    per_row: bool | None
    missing: bool

    def __init__(self, lower: Any = None, upper: Any = None, *, per_row: bool | None = None) -> None:
        self._seal(lower, upper, per_row)

    def limits(self, y: Tensor, components: Component) -> tuple[Tensor, Tensor]:
        lower, upper = (beside(limit, y, components) for limit in (self.lower, self.upper))
        low = torch.where(y <= lower, -torch.inf, torch.where(y >= upper, upper, y))
        return low, torch.where(y >= upper, torch.inf, torch.where(y <= lower, lower, y))

    def moments(self, components: Component) -> tuple[Tensor, Tensor]:
        """Mean and variance of the clipped value, coordinate by coordinate."""
        gaussian = components.gaussian_law
        lower, upper = (aligned(limit, components) for limit in (self.lower, self.upper))
        scale = gaussian.variance.sqrt()
        a, b = ((limit - gaussian.location) / scale for limit in (lower, upper))
        mass, first, square = _inside_moments(a, b)
        below, above = torch.special.ndtr(a), torch.special.ndtr(-b)
        low, high = a.nan_to_num(0.0, neginf=0.0), b.nan_to_num(0.0, posinf=0.0)
        mean = mass * first + below * low + above * high
        variance = (mass * square + below * low.square() + above * high.square() - mean.square()) * scale.square()
        mean = gaussian.location + scale * mean
        return (mean, variance) if components.event_shape else (mean.squeeze(-1), variance.squeeze(-1))

    def record(self, x: Tensor, labels: Tensor, generator: Generator | None, components: Component | None) -> Tensor:
        lower, upper = (as_rows(limit, x, labels) for limit in (self.lower, self.upper))
        return torch.maximum(torch.minimum(x, upper), lower)


@dataclass(frozen=True, eq=False, repr=False, init=False)
class Truncated(_Limited):
    """Rows outside the limits were never recorded, and nobody counted them.

    Arguments:
        lower: The lower limit; a number, ``(D,)`` per coordinate, or one more dimension in front for one per row. None
            where there is no such limit.
        upper: The same at the other end.
        per_row: Whether a dimension in front counts rows where that is not clear, as in `AdditiveNoise`.

    ``mixture.observed`` has each component's density and weight within the limits. A fit recovers the whole mixture.
    See `Box` for what is exact.

    Raises:
        MixtureError: If limits are crossed or NaN.

    Example:
        >>> clean = mx.Mixture(torch.ones(1), mx.Normal(torch.zeros(1), torch.ones(1)))
        >>> clean.observed(mx.observation.Truncated(lower=0.0)).log_prob(torch.tensor([-1.0, 0.0])).exp()
        tensor([0.0000, 0.7979])
    """

    lower: Tensor
    upper: Tensor
    per_row: bool | None
    missing: bool

    def __init__(self, lower: Any = None, upper: Any = None, *, per_row: bool | None = None) -> None:
        self._seal(lower, upper, per_row)

    def selection(self) -> tuple[Tensor, Tensor]:
        return self.lower, self.upper

    def limits(self, y: Tensor, components: Component) -> tuple[Tensor, Tensor]:
        return y, y

    def moments(self, components: Component) -> tuple[Tensor, Tensor]:
        gaussian, inside = components.gaussian_law, self.recorded_part(components)
        variance = inside.second.diagonal(dim1=-2, dim2=-1) - inside.shift.square()
        mean = gaussian.location + inside.shift
        return (mean, variance) if components.event_shape else (mean.squeeze(-1), variance.squeeze(-1))

    def record(self, x: Tensor, labels: Tensor, generator: Generator | None, components: Component | None) -> Tensor:
        """Draws anew what would not have been recorded."""
        lower, upper = (as_rows(limit, x, labels) for limit in (self.lower, self.upper))
        for _ in range(_TRIES):
            outside = (x < lower) | (x > upper)
            outside = outside.any(-1) if x.ndim > labels.ndim else outside
            if not bool(outside.any()):
                return x
            if components is None:
                refuse("x", "within the limits, since the rest is not recorded", "rows outside", "Drop them.")
            again = components.draw(labels, generator)
            x = torch.where(outside.unsqueeze(-1) if x.ndim > labels.ndim else outside, again, x)
        raise MixtureError(f"No draw fell within the limits in {_TRIES} tries: they leave a component next to nothing.")


def _ordered(lower: Any, upper: Any) -> tuple[Tensor, Tensor]:
    if lower is None and upper is None:
        refuse("lower", "given, or `upper`, or both", "neither")
    low = torch.as_tensor(-torch.inf if lower is None else lower, dtype=torch.float64)
    high = torch.as_tensor(torch.inf if upper is None else upper, dtype=torch.float64)
    if bool(low.isnan().any() | high.isnan().any()):
        refuse("lower", "free of NaN, like `upper`", "NaN", "Use infinity where there is no limit.")
    if bool((low >= high).any()):
        refuse("upper", "above `lower`", "limits that cross")
    return low, high


def _inside_moments(a: Tensor, b: Tensor) -> tuple[Tensor, Tensor, Tensor]:
    log_mass, first, square = interval(a, b)
    return log_mass.exp(), first, square
