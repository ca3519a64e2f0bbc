r"""Discrete shifts: :math:`y = x + a_j` with probability :math:`\pi_j`, independent of x.

A mixture of K components seen through M shifts is one of K M components, kept factored:
:math:`p(y|k) = \sum_j \pi_j\, p_k(y - a_j)`.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from functools import reduce
from typing import Any

import torch
from torch import Generator, Tensor

from ..components import Component
from ..components.observation import Frame, frame_of, over
from ..errors import refuse
from ..mixture import Mixture
from .base import aligned, of_label
from .nodes import NodeObservation, Nodes
from .noise import finite, nonnegative

__all__ = ["ShiftNoise"]

_MOST_BYTES = 2**32


@dataclass(frozen=True, eq=False, repr=False, init=False)
class ShiftNoise(NodeObservation):
    r"""Each draw is shifted by one of a few amounts.

    Arguments:
        low: The smallest whole number by which a draw is shifted.
        high: One more than the largest, so that (-2, 3) means -2, -1, 0, 1, 2, all equally likely.
        shifts: The amounts ``(M,)``, or ``(M, D)`` for vectors, instead of ``low`` and ``high``. A number shifts every
            coordinate of a vector.
        probabilities: How likely each is, ``(M,)`` or one set per component ``(K, M)``; equal by default.

    Raises:
        MixtureError: If limits are crossed or not whole, or probabilities negative, all zero or not one per shift.

    Example:
        >>> clean = mx.Mixture(torch.ones(1), mx.Normal(torch.zeros(1), torch.ones(1)))
        >>> clean.observed(mx.observation.ShiftNoise(-2, 3)).variance
        tensor(3.)
    """

    shifts: Tensor  # (M,) or (M, D); resolved, (1, 1, M, *event)
    log_probability: Tensor  # (M,) or (K, M); resolved, (1, C, M)

    def __init__(
        self, low: int | None = None, high: int | None = None, *, shifts: Any = None, probabilities: Any = None
    ) -> None:
        if (shifts is None) == (low is None or high is None):
            refuse("low", "given together with `high`, or `shifts` instead", f"low={low}, high={high}, shifts={shifts}")
        if shifts is None:
            shifts = torch.arange(*_whole(low, high), dtype=torch.float64)
        shifts = finite("shifts", shifts)
        probability = torch.ones(len(shifts)) if probabilities is None else nonnegative("probabilities", probabilities)
        if probability.shape[-1:] != shifts.shape[:1] or bool((probability.sum(-1) <= 0).any()):
            refuse(
                "probabilities",
                f"{len(shifts)} numbers, one per shift, not all zero",
                f"shape {tuple(probability.shape)}",
            )
        object.__setattr__(self, "shifts", shifts)
        object.__setattr__(self, "log_probability", probability.double().log().log_softmax(-1))

    @property
    def count(self) -> int:
        return self.log_probability.shape[-1]

    def resolve(self, frame: Frame) -> ShiftNoise:
        if self.log_probability.ndim == 3:
            return self
        probability = self.log_probability.to(frame.device, frame.dtype)
        if probability.ndim > 1 and frame.components not in (None, len(probability)):
            refuse("probabilities", f"(M,) or ({frame.components}, M)", f"shape {tuple(probability.shape)}")
        shifts = self.shifts.to(frame.device, frame.dtype)
        if frame.event_shape and shifts.ndim == 1:
            shifts = shifts.unsqueeze(-1).expand(-1, frame.features)
        if shifts.shape[1:] != frame.event_shape:
            refuse("shifts", f"of shape (M, {frame.features})", f"shape {tuple(shifts.shape)}")
        probability = probability[None, None] if probability.ndim == 1 else probability[None]
        return self._of(shifts=shifts[None, None], log_probability=probability)

    def nodes(self, components: Component, y: Tensor) -> Nodes:
        dimensions = len(components.event_shape)
        _check_memory(y, self, components)
        clean = y.unsqueeze(-1 - dimensions) - self.shifts[0, 0]  # (..., M, *event)
        density = torch.stack([components.log_prob(one) for one in clean.unbind(clean.ndim - 1 - dimensions)], -1)
        return Nodes(clean.unsqueeze(-2 - dimensions), density + aligned(self.log_probability, components))

    def log_prob(self, components: Component, y: Tensor) -> Tensor:
        each = self._each(components)  # one shift at a time: never K x M beside each row
        return reduce(_log_sum, (components.log_prob(y - shift) + log_p for shift, log_p in each))

    def complete(self, components: Component, y: Tensor, r: Tensor) -> tuple[Tensor, ...]:
        """Returns the family's own sums over the shifted rows, whatever the family."""
        rows = over(y, components)
        density = self.log_prob(components, rows)

        def of(shift: Tensor, log_p: Tensor) -> tuple[Tensor, ...]:
            share = (components.log_prob(rows - shift) + log_p - density).exp().nan_to_num(0.0)
            return components.statistics(y - shift, r * share)

        return reduce(_plus, (of(*one) for one in self._each(components)))

    def _each(self, components: Component) -> Iterator[tuple[Tensor, Tensor]]:
        """Every shift with its log-probabilities."""
        return zip(self.shifts[0, 0], aligned(self.log_probability, components).unbind(-1), strict=True)

    def moments(self, components: Component) -> tuple[Tensor, Tensor]:
        probability = aligned(self.log_probability, components).exp()
        probability = probability.unsqueeze(-1) if components.event_shape else probability
        axis = -2 if components.event_shape else -1
        shifts = self.shifts[0, 0]
        mean = (probability * shifts).sum(axis)
        variance = (probability * (shifts - mean.unsqueeze(axis)).square()).sum(axis)
        return components.mean + mean, components.variance + variance

    def record(self, x: Tensor, labels: Tensor, generator: Generator | None, components: Component | None) -> Tensor:
        if self.log_probability.shape[1] == 1:
            drawn = _drawn(self.log_probability[0, 0].exp(), labels.shape, generator)
        else:
            probability = of_label(self.log_probability, labels).exp()
            drawn = torch.multinomial(probability.reshape(-1, self.count), 1, generator=generator).reshape(labels.shape)
        return x + self.shifts[0, 0][drawn]

    def expand(self, mixture: Mixture) -> Mixture:
        """Returns what is recorded as a plain mixture of K x M components, for Gaussians and Normals."""
        resolved = self.resolve(frame_of(mixture.components))
        logits = (mixture.logits.unsqueeze(-1) + resolved.log_probability[0]).flatten(-2)
        repeated = mixture.components.take(torch.arange(mixture.logits.shape[-1]).repeat_interleave(self.count))
        shifts = resolved.shifts[0, 0].repeat(mixture.logits.shape[-1], *(1,) * len(mixture.event_shape))
        if not repeated.is_gaussian:
            refuse("mixture", "of Gaussians or Normals", type(repeated).__name__)
        gaussian = repeated.gaussian
        moved = gaussian._replace(location=gaussian.location + shifts.reshape(len(shifts), -1))
        return Mixture._of(logits, repeated.with_gaussian(moved))


def _log_sum(one: Tensor, other: Tensor) -> Tensor:
    """The logarithm of a sum: as torch's own, whose second derivatives are NaN where one of the two is far smaller."""
    return torch.logsumexp(torch.stack([one, other]), 0)


def _whole(low: Any, high: Any) -> tuple[int, int]:
    if int(low) != low or int(high) != high or not low < high:
        refuse("high", f"a whole number above low={low} (it is exclusive)", high)
    return int(low), int(high)


def _drawn(probability: Tensor, shape: torch.Size, generator: Generator | None) -> Tensor:
    """Indices, any number of them: multinomial is limited, so cumulative probabilities are inverted."""
    if bool((probability == probability[0]).all()):
        return torch.randint(len(probability), shape, device=probability.device, generator=generator)
    cumulative = probability.double().cumsum(-1)
    uniform = torch.rand(shape, dtype=torch.float64, device=probability.device, generator=generator)
    return torch.searchsorted(cumulative / cumulative[-1], uniform, right=True).clamp_max(len(probability) - 1)


def _check_memory(y: Tensor, observation: ShiftNoise, components: Component) -> None:
    rows = y.numel() // max(1, components.event_shape.numel())
    size = rows * components.batch_shape.numel() * observation.count * y.element_size()
    if size > _MOST_BYTES:
        expected = f"few enough rows for {components.batch_shape[-1]} x {observation.count} components each"
        refuse("y", expected, f"{rows} rows, which would take {size / 2**30:.1f} GiB", "Give them in blocks.")


def _plus(one: tuple[Tensor, ...], other: tuple[Tensor, ...]) -> tuple[Tensor, ...]:
    return tuple(a + b for a, b in zip(one, other, strict=True))
