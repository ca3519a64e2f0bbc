r"""Values known up to limits: censored, truncated, rounded and binned rows.

A censored, rounded or binned row says that x lies in a box :math:`[l, u]`; the likelihood of the row is the box's
probability, and what is expected of x is its conditional moments there. Truncated rows say more: that nothing outside
was recorded at all. With :math:`Z = \sum_k w_k P_k` the probability of being recorded, each row stands for
:math:`(1 - Z)/Z` more that were not (Dempster, Laird and Rubin, 1977; McLachlan and Jones, 1988),

.. math::

    \ell = \sum_n \log \sum_k w_k p(y_n|k) - \log Z, \qquad
    N_k = \sum_n r_{nk} + \frac{w_k (1 - P_k)}{Z}, \qquad
    M_k = \sum_n r_{nk} E[T|y_n, k] + \frac{w_k}{Z} \big(E_k[T] - P_k E_k[T | \text{recorded}]\big).
"""

from __future__ import annotations

from abc import abstractmethod
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, Self

import torch
from torch import Generator, Tensor

from ..components import Component, Gaussian, Labels, Statistics
from ..components.observation import Frame, Observation, believe, frame_of, over
from ..errors import MixtureError, NotClosedForm, refuse
from ..mixture import Mixture
from .base import aligned, lead, weighted
from .interval import InBox, in_box, independent, interval
from .noise import nonnegative

__all__ = ["Binned", "Box", "Censored", "Rounded", "Truncated"]

_DRAWS = 256
_TRIES = 1000


class Box(Observation):
    """What is common to observations that say between which limits a clean row lies.

    With components on numbers, or without correlations, everything is exact; so it is for a row with one coordinate
    between limits. Rows with several correlated coordinates between limits use 256 fixed quasi-random points, with a
    relative error of about 1e-3.
    """

    missing: bool

    @abstractmethod
    def limits(self, y: Tensor, components: Component) -> tuple[Tensor, Tensor]:
        """Returns lower and upper limits of recorded rows ``(*S, *B, D)``, equal where x itself was recorded."""

    def selection(self) -> tuple[Tensor, Tensor] | None:
        """Returns the limits ``(R, 1, D)`` outside of which nothing was recorded, or none."""
        return None

    @property
    def gaps(self) -> bool:
        return self.missing

    @property
    def row_by_row(self) -> bool:
        return True

    def followed_by_gaussian(self, other: Any) -> Observation | None:
        """Gaps behind limits leave coordinates without limits."""
        return self._replace(missing=True) if other.only_gaps else None

    def log_prob(self, components: Component, y: Tensor) -> Tensor:
        log_prob = self._inside(components, y).log_prob
        chosen = self.selection()
        if chosen is None:
            return log_prob
        rows = y if components.event_shape else y.unsqueeze(-1)
        low, high = (beside(limit, rows, components) for limit in chosen)
        recorded = ((rows >= low) & (rows <= high)).all(-1, keepdim=True)
        return torch.where(recorded, log_prob - self._recorded(components).log_prob, -torch.inf)

    def clean_moments(self, components: Component, y: Tensor) -> tuple[Tensor, Tensor]:
        inside = self._inside(components, y)
        return inside.shift, inside.second

    def complete(self, components: Component, y: Tensor, r: Tensor) -> tuple[Tensor, ...]:
        return weighted(components.gaussian_law, r, *self.clean_moments(components, over(y, components)))

    def expect(
        self, components: Component, logits: Tensor, y: Tensor, weight: Tensor | None, labels: Labels
    ) -> Statistics:
        gaussian = components.gaussian_law
        inside = self._inside(components, over(y, components))
        r, log_likelihood = believe(logits + inside.log_prob, weight, labels)
        return Statistics(log_likelihood, r.sum(0).double(), weighted(gaussian, r, inside.shift, inside.second))

    def _inside(self, components: Component, y: Tensor) -> InBox:
        gaussian = components.gaussian_law
        rows = y if components.event_shape else y.unsqueeze(-1)
        low, high = self.limits(rows, components)
        gap = rows.isnan()
        if self.missing and bool(gap.any()):
            low, high = low.masked_fill(gap, -torch.inf), high.masked_fill(gap, torch.inf)
        return _moments(gaussian, low, high)

    def _recorded(self, components: Component) -> InBox:
        """Each component's part between the limits of what is recorded."""
        low, high = self.selection()  # type: ignore[misc]
        inner = (1,) * (len(components.batch_shape) - 1)
        low, high = (limit.reshape(len(limit), *inner, limit.shape[-1]) for limit in (low, high))
        inside = _moments(components.gaussian_law, low, high)
        return inside if len(low) > 1 else InBox(*(tensor.squeeze(0) for tensor in inside))

    @property
    def selects(self) -> bool:
        return self.selection() is not None

    def log_recorded(self, mixture: Mixture) -> Tensor:
        if not self.selects:
            return super().log_recorded(mixture)
        return torch.logsumexp(mixture.logits + self._recorded(mixture.components).log_prob, -1)

    def unrecorded(self, components: Component, logits: Tensor, count: Tensor) -> Statistics:
        gaussian, inside = components.gaussian_law, self._recorded(components)
        if inside.log_prob.ndim == logits.ndim:  # limits shared by all rows: as many alike as there are rows
            inside, count = InBox(*(tensor.unsqueeze(0) for tensor in inside)), count.sum(0, keepdim=True)
        log_mass = torch.logsumexp(logits + inside.log_prob, -1)
        count = count.reshape(-1, *(1,) * (log_mass.ndim - 1))
        share = count.unsqueeze(-1) * (logits - log_mass.unsqueeze(-1)).exp()
        mass = inside.log_prob.exp()
        shift = -mass.unsqueeze(-1) * inside.shift
        second = gaussian.covariance - mass[..., None, None] * inside.second
        likelihood = -(count * log_mass).double().sum(0)
        return Statistics(likelihood, (share * (1 - mass)).double().sum(0), weighted(gaussian, share, shift, second))

    def apply(self, mixture: Mixture) -> Mixture:
        chosen = self.resolve(frame_of(mixture.components))
        if not isinstance(chosen, Box) or chosen.selection() is None:
            return super().apply(mixture)
        logits = torch.log_softmax(mixture.logits + chosen._recorded(mixture.components).log_prob, -1)
        return Mixture._of(logits, self.observed(mixture.components))

    def log_joint(self, mixture: Mixture, y: Tensor) -> Tensor:
        return mixture.logits + self._inside(mixture.components, over(y, mixture.components)).log_prob


def _moments(gaussian: Gaussian, low: Tensor, high: Tensor) -> InBox:
    """The box elementwise where coordinates are independent, and otherwise row by row."""
    if gaussian.structure.elementwise:
        scale = gaussian.variance.sqrt()
        return independent(gaussian.location, scale, low.unsqueeze(-2), high.unsqueeze(-2))
    rows_first = gaussian.location.ndim == low.ndim + 1
    batch = gaussian.batch_shape[1:] if rows_first else gaussian.batch_shape
    lead = len(low) if rows_first else 1
    mean = gaussian.location.reshape(lead, -1, gaussian.features)
    covariance = gaussian.covariance.reshape(lead, -1, gaussian.features, gaussian.features)
    shape = low.shape[: low.ndim - len(batch)]
    if any(size != 1 for size in low.shape[len(shape) : -1]):
        raise NotClosedForm("Limits on correlated vectors need one mixture at a time; index the batch.")
    below, above = (limit.reshape(-1, gaussian.features) for limit in (low, high))
    inside = in_box(mean, covariance, below, above, _DRAWS)
    return InBox(*(tensor.reshape(*shape, *batch, *tensor.shape[2:]) for tensor in inside))


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
            _placed(name, one, frame, self.per_row) for name, one in (("lower", self.lower), ("upper", self.upper))
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
        lower, upper = (_as_rows(limit, x, labels) for limit in (self.lower, self.upper))
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
        gaussian, inside = components.gaussian_law, self._recorded(components)
        variance = inside.second.diagonal(dim1=-2, dim2=-1) - inside.shift.square()
        mean = gaussian.location + inside.shift
        return (mean, variance) if components.event_shape else (mean.squeeze(-1), variance.squeeze(-1))

    def record(self, x: Tensor, labels: Tensor, generator: Generator | None, components: Component | None) -> Tensor:
        """Draws anew what would not have been recorded."""
        lower, upper = (_as_rows(limit, x, labels) for limit in (self.lower, self.upper))
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


@dataclass(frozen=True, eq=False, repr=False, init=False)
class Rounded(Box):
    """Values recorded to the nearest multiple of a step.

    Arguments:
        step: The step, a number or ``(D,)`` per coordinate; zero where a coordinate is not rounded.

    The density of a recorded value is the probability of what rounds to it. See `Box` for what is exact.

    Raises:
        MixtureError: If a step is negative.

    Example:
        >>> clean = mx.Mixture(torch.ones(1), mx.Normal(torch.zeros(1), torch.ones(1)))
        >>> clean.observed(mx.observation.Rounded(1.0)).log_prob(torch.tensor(0.0)).exp()
        tensor(0.3829)
    """

    step: Tensor
    missing: bool

    def __init__(self, step: Any) -> None:
        object.__setattr__(self, "step", nonnegative("step", step))
        object.__setattr__(self, "missing", False)

    def resolve(self, frame: Frame) -> Rounded:
        return self if self.step.ndim == 3 else self._replace(step=_placed("step", self.step, frame, False))

    def limits(self, y: Tensor, components: Component) -> tuple[Tensor, Tensor]:
        half = beside(self.step, y, components) / 2
        return y - half, y + half

    def record(self, x: Tensor, labels: Tensor, generator: Generator | None, components: Component | None) -> Tensor:
        step = _as_rows(self.step, x, labels)
        return torch.where(step > 0, (x / step).round() * step, x)


@dataclass(frozen=True, eq=False, repr=False, init=False)
class Binned(Box):
    """Values of which only the bin is known: a histogram.

    Arguments:
        edges: The edges of the bins, rising, ``(J + 1,)``; for vectors one such tensor per coordinate. The first and
            the last may be infinite. What lies outside was not recorded.
        counts: How many rows fell into each bin, ``(J,)`` or ``(J_1, ..., J_D)``. With them
            ``mx.fit(None, K, observation=Binned(edges, counts))`` fits the histogram; without them rows are values, of
            which only the bin is used.

    The fit maximises the multinomial likelihood of the counts (McLachlan and Jones, 1988). See `Box` for what is exact.

    Raises:
        MixtureError: If edges do not rise or are NaN, or counts are negative or not one per bin.

    Example:
        >>> edges = torch.tensor([-torch.inf, -1.0, 0.0, 1.0, torch.inf], dtype=torch.float64)
        >>> seen = mx.observation.Binned(edges, torch.tensor([159, 341, 341, 159]))
        >>> fit = mx.fit(None, 1, observation=seen)
        >>> fit.mixture.variance.round(decimals=2)
        tensor(1., dtype=torch.float64)
    """

    edges: tuple[Tensor, ...]
    counts: Tensor | None
    missing: bool

    def __init__(self, edges: Any, counts: Any = None) -> None:
        vectors = isinstance(edges, (tuple, list)) and len(edges) > 0 and not isinstance(edges[0], (int, float))
        placed = tuple(_rising(one) for one in (edges if vectors else [edges]))
        if counts is not None:
            counts = nonnegative("counts", counts)
            bins = tuple(len(one) - 1 for one in placed)
            if tuple(counts.shape) != bins:
                refuse("counts", f"one number per bin, shape {bins}", f"shape {tuple(counts.shape)}")
        object.__setattr__(self, "edges", placed)
        object.__setattr__(self, "counts", counts)
        object.__setattr__(self, "missing", False)

    @property
    def held(self) -> tuple[Tensor, Tensor] | None:
        """The bins as rows ``(J,)`` or ``(J, D)``, at their middles, and their counts as weights."""
        if self.counts is None:
            return None
        middles = [_middles(one) for one in self.edges]
        rows = torch.cartesian_prod(*middles)
        return rows, self.counts.reshape(-1)

    def resolve(self, frame: Frame) -> Binned:
        if len(self.edges) != frame.features:
            refuse("edges", f"one tensor for each of {frame.features} coordinates", len(self.edges))
        return self._replace(edges=tuple(one.to(frame.device, frame.dtype) for one in self.edges), counts=None)

    @property
    def led(self) -> tuple[Tensor, ...]:
        return ()

    def at(self, side: Sequence[Tensor]) -> Self:
        return self

    def map(self, function: Any) -> Self:
        """Returns itself: edges are the same for all rows and components."""
        return self

    def selection(self) -> tuple[Tensor, Tensor]:
        low, high = (torch.stack([one[end] for one in self.edges])[None, None] for end in (0, -1))
        return low, high

    def limits(self, y: Tensor, components: Component) -> tuple[Tensor, Tensor]:
        ends = [_bin(one, y[..., d]) for d, one in enumerate(self.edges)]
        low, high = zip(*ends, strict=True)
        return torch.stack(low, -1), torch.stack(high, -1)

    def record(self, x: Tensor, labels: Tensor, generator: Generator | None, components: Component | None) -> Tensor:
        rows = x if x.ndim > labels.ndim else x.unsqueeze(-1)
        middles = [_middles(one)[_index(one, rows[..., d])] for d, one in enumerate(self.edges)]
        y = torch.stack(middles, -1)
        return y if x.ndim > labels.ndim else y.squeeze(-1)


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


def _placed(name: str, limit: Tensor, frame: Frame, per_row: bool | None) -> Tensor:
    """A limit led by rows: ``(R, 1, D)``; it is the same for all components."""
    limit = limit.to(frame.device, frame.dtype)
    if not frame.event_shape:
        limit = limit.unsqueeze(-1)
    elif limit.ndim == 0:
        limit = limit.expand(frame.features)
    if limit.shape[-1] not in (1, frame.features):
        refuse(name, f"a number, or of shape (..., {frame.features})", f"shape {tuple(limit.shape)}")
    limit = limit.expand(*limit.shape[:-1], frame.features)
    placed = lead(name, limit, 1, frame, True if per_row is None else per_row)
    if placed.shape[1] != 1:
        refuse(name, "the same for all components", f"shape {tuple(limit.shape)}")
    return placed


def beside(limit: Tensor, y: Tensor, components: Component) -> Tensor:
    """A limit ``(R, 1, D)`` where it meets recorded rows ``(*S, R, 1, ..., D)``, one 1 for each batch dimension.

    Components that already differ between rows, as behind errors of their own, have a dimension more for that.
    """
    if len(limit) == 1:
        return limit[0, 0]
    gaussian = components.gaussian_law
    inner = len(components.batch_shape) - 1 - (gaussian.location.ndim == y.ndim + 1)
    return limit.reshape(len(limit), *(1,) * inner, limit.shape[-1])


def _as_rows(limit: Tensor, x: Tensor, labels: Tensor) -> Tensor:
    """A limit ``(R, 1, D)`` beside draws ``(*S, N, D)`` or ``(*S, N)``."""
    limit = limit[:, 0] if len(limit) > 1 else limit[0, 0]
    return limit if x.ndim > labels.ndim else limit.squeeze(-1)


def _inside_moments(a: Tensor, b: Tensor) -> tuple[Tensor, Tensor, Tensor]:
    log_mass, first, square = interval(a, b)
    return log_mass.exp(), first, square


def _rising(edges: Any) -> Tensor:
    tensor = torch.as_tensor(edges, dtype=None if isinstance(edges, Tensor) else torch.float64)
    tensor = tensor if tensor.is_floating_point() else tensor.double()
    if tensor.ndim != 1 or len(tensor) < 2 or not bool((tensor.diff() > 0).all()):
        refuse(
            "edges", "at least two rising numbers", f"{tensor.tolist() if tensor.numel() < 9 else tuple(tensor.shape)}"
        )
    return tensor


def _middles(edges: Tensor) -> Tensor:
    """The middle of each bin; of one without end, a point as far in as the mean width."""
    inner = edges[edges.isfinite()]
    width = inner.diff().mean() if len(inner) > 1 else edges.new_ones(())
    bounded = edges.clone()
    if bool(bounded[0].isinf()):
        bounded[0] = inner[0] - width
    if bool(bounded[-1].isinf()):
        bounded[-1] = inner[-1] + width
    return (bounded[1:] + bounded[:-1]) / 2


def _index(edges: Tensor, values: Tensor) -> Tensor:
    return (torch.searchsorted(edges, values.contiguous(), right=True) - 1).clamp(0, len(edges) - 2)


def _bin(edges: Tensor, values: Tensor) -> tuple[Tensor, Tensor]:
    index = _index(edges, values)
    return edges[index], edges[index + 1]
