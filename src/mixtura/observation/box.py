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
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any, Self

import torch
from torch import Generator, Tensor

from ..components import Component, Gaussian, Labels, Normal, Statistics
from ..components.observation import Frame, Observation, believe, frame_of, over
from ..errors import NotClosedForm, refuse
from ..mixture import Mixture
from .base import lead, weighted
from .interval import InBox, backwards, in_box, independent
from .kinds import OfKind, kinds_of

__all__ = ["Box", "Turned", "as_rows", "beside", "placed"]

_DRAWS = 256
_ANY = Normal(torch.zeros(1), torch.ones(1))  # components that are the same for all rows


class Box(Observation):
    """What is common to observations that say between which limits a clean row lies.

    With components on numbers, or without correlations, everything is exact; so it is for a row with one coordinate
    between limits. For rows with two or three correlated coordinates between limits the relative error is about 1e-9,
    and 1e-6 at correlations of .99; of components that are almost flat, and with gradients, it may be 1e-4. Beyond, as
    many nodes as are few serve, and otherwise 256 fixed quasi-random points, with a relative error of about 1e-3.
    """

    missing: bool

    def resolve(self, frame: Frame) -> Self:
        return self

    @abstractmethod
    def limits(self, y: Tensor, components: Component) -> tuple[Tensor, Tensor]:
        """Returns lower and upper limits of recorded rows ``(*S, *B, D)``, equal where x itself was recorded."""

    def selection(self) -> tuple[Tensor, Tensor] | None:
        """Returns the limits ``(R, 1, D)`` outside of which nothing was recorded, or none."""
        return None

    def outside(self, y: Tensor) -> Tensor:
        chosen = self.selection()
        if chosen is None:
            return super().outside(y)
        low, high = (limit.squeeze(1) for limit in chosen)
        return ((y < low) | (y > high)).any(-1)

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
        log_prob = self.inside(components, y).log_prob
        chosen = self.selection()
        if chosen is None:
            return log_prob
        rows = y if components.event_shape else y.unsqueeze(-1)
        low, high = (beside(limit, rows, components) for limit in chosen)
        recorded = ((rows >= low) & (rows <= high)).all(-1, keepdim=True)
        return torch.where(recorded, log_prob - self.recorded_part(components).log_prob, -torch.inf)

    def before_selection(self, components: Component, y: Tensor) -> Tensor:
        return self.inside(components, y).log_prob

    def clean_moments(self, components: Component, y: Tensor) -> tuple[Tensor, Tensor]:
        inside = self.inside(components, y)
        return inside.shift, inside.second

    def complete(self, components: Component, y: Tensor, r: Tensor) -> tuple[Tensor, ...]:
        return weighted(components.gaussian_law, r, *self.clean_moments(components, over(y, components)))

    def expect(
        self, components: Component, logits: Tensor, y: Tensor, weight: Tensor | None, labels: Labels
    ) -> Statistics:
        gaussian = components.gaussian_law
        inside = self.inside(components, over(y, components))
        r, log_likelihood = believe(logits + inside.log_prob, weight, labels)
        return Statistics(log_likelihood, r.sum(0).double(), weighted(gaussian, r, inside.shift, inside.second))

    def inside(self, components: Component, y: Tensor) -> InBox:
        """Returns what is known of rows ``(*S, *B, *event)`` under each component, before any are selected."""
        rows = y if components.event_shape else y.unsqueeze(-1)
        return self._moments(components.gaussian_law, *self._known(rows, components))

    def _known(self, rows: Tensor, components: Component) -> tuple[Tensor, Tensor]:
        """Limits of rows ``(*S, *B, D)``, and none where there are gaps."""
        low, high = self.limits(rows, components)
        if not self.missing:
            return low, high
        gap = rows.isnan()
        return low.masked_fill(gap, -torch.inf), high.masked_fill(gap, torch.inf)

    def kinds(self, y: Tensor) -> Tensor:
        return kinds_of(*self._known(y.reshape(len(y), -1), _ANY))

    def of_kind(self, y: Tensor, kind: Sequence[int]) -> tuple[Observation, Tensor, None]:
        low, high = (one.unsqueeze(1) for one in self._known(y.reshape(len(y), -1), _ANY))
        return OfKind._of(box=self, low=low, high=high, kind=tuple(kind)), y, None

    def recorded_part(self, components: Component) -> InBox:
        """Each component's part between the limits of what is recorded."""
        low, high = self.selection()  # type: ignore[misc]
        inner = (1,) * (len(components.batch_shape) - 1)
        low, high = (limit.reshape(len(limit), *inner, limit.shape[-1]) for limit in (low, high))
        inside = self._moments(components.gaussian_law, low, high)
        return inside if len(low) > 1 else InBox(*(tensor.squeeze(0) for tensor in inside))

    @property
    def integral(self) -> Callable[[Tensor, Tensor, Tensor, Tensor, int], InBox]:
        """How correlated rows are integrated."""
        return in_box

    def _moments(self, gaussian: Gaussian, low: Tensor, high: Tensor) -> InBox:
        """The box elementwise where coordinates are independent, otherwise row by row; always in double precision."""
        if gaussian.dtype is not torch.float64:
            inside = self._moments(gaussian.to(torch.float64), low.double(), high.double())
            return InBox(*(tensor.to(gaussian.dtype) for tensor in inside))
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
        inside = self.integral(mean, covariance, below, above, _DRAWS)
        return InBox(*(tensor.reshape(*shape, *batch, *tensor.shape[2:]) for tensor in inside))

    def otherwise(self) -> Observation:
        return Turned._of(box=self, missing=self.missing)

    @property
    def selects(self) -> bool:
        return self.selection() is not None

    def log_recorded(self, mixture: Mixture) -> Tensor:
        if not self.selects:
            return super().log_recorded(mixture)
        return torch.logsumexp(mixture.logits + self.recorded_part(mixture.components).log_prob, -1)

    def unrecorded(self, components: Component, logits: Tensor, count: Tensor) -> Statistics:
        likelihood, share, mass, shift, second = self.left_out(components, logits, count)
        moments = weighted(components.gaussian_law, share, shift, second)
        return Statistics(likelihood, (share * (1 - mass)).double().sum(0), moments)

    def left_out(self, components: Component, logits: Tensor, count: Tensor) -> tuple[Tensor, ...]:
        """Returns what `unrecorded` is made of, for all rows alike or for each one.

        These are the log-likelihood of having been recorded, how many draws ``(N, *B, K)`` stand behind the rows, each
        component's probability of being recorded, and the moments of its draws that were not, times the probability.
        """
        gaussian, inside = components.gaussian_law, self.recorded_part(components)
        if inside.log_prob.ndim == logits.ndim:  # limits shared by all rows: as many alike as there are rows
            inside, count = InBox(*(tensor.unsqueeze(0) for tensor in inside)), count.sum(0, keepdim=True)
        log_mass = torch.logsumexp(logits + inside.log_prob, -1)
        count = count.reshape(-1, *(1,) * (log_mass.ndim - 1))
        share = count.unsqueeze(-1) * (logits - log_mass.unsqueeze(-1)).exp()
        mass = inside.log_prob.exp()
        second = gaussian.covariance - mass[..., None, None] * inside.second
        return -(count * log_mass).double().sum(0), share, mass, -mass.unsqueeze(-1) * inside.shift, second

    def apply(self, mixture: Mixture) -> Mixture:
        chosen = self.resolve(frame_of(mixture.components))
        if not chosen.selects:
            return super().apply(mixture)
        logits = torch.log_softmax(mixture.logits + chosen.recorded_part(mixture.components).log_prob, -1)
        return Mixture._of(logits, self.observed(mixture.components))


@dataclass(frozen=True, eq=False, repr=False)
class Turned(Box):
    """A box, resolved, that integrates the last coordinate first: how well a likelihood is known by nodes.

    Arguments:
        box: The box.
        missing: Whether there are gaps.
    """

    box: Box
    missing: bool

    @property
    def led(self) -> tuple[Tensor, ...]:
        return self.box.led

    def at(self, side: Sequence[Tensor]) -> Self:
        return self._replace(box=self.box.at(side))

    def limits(self, y: Tensor, components: Component) -> tuple[Tensor, Tensor]:
        return self.box.limits(y, components)

    def selection(self) -> tuple[Tensor, Tensor] | None:
        return self.box.selection()

    @property
    def integral(self) -> Callable[[Tensor, Tensor, Tensor, Tensor, int], InBox]:
        return backwards

    def record(self, x: Tensor, labels: Tensor, generator: Generator | None, components: Component | None) -> Tensor:
        return self.box.record(x, labels, generator, components)


def placed(name: str, limit: Tensor, frame: Frame, per_row: bool | None) -> Tensor:
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


def as_rows(limit: Tensor, x: Tensor, labels: Tensor) -> Tensor:
    """A limit ``(R, 1, D)`` beside draws ``(*S, N, D)`` or ``(*S, N)``."""
    limit = limit[:, 0] if len(limit) > 1 else limit[0, 0]
    return limit if x.ndim > labels.ndim else limit.squeeze(-1)
