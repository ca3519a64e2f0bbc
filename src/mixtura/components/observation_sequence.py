r"""Observations in sequence: a draw passes through each in turn, and the last one's outcome is recorded.

Gaussian observations in a row become one. Behind them may stand one of another kind, z to y: with z Gaussian given k
and x given z Gaussian with a mean linear in z, what is expected of x follows from what is expected of z.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Self

import torch
from torch import Generator, Tensor

from ..errors import NotClosedForm, refuse
from .base import Component, Labels
from .observation import Frame, Observation, over
from .statistics import Statistics
from .unresolved_observation import Unresolved

if TYPE_CHECKING:
    from ..mixture import Mixture

__all__ = ["InSequence", "as_one"]


@dataclass(frozen=True, eq=False, repr=False)
class Steps(Observation):
    """Several observations, the one nearest to the draw first: what they say together without being resolved."""

    steps: tuple[Observation, ...]

    @property
    def gaps(self) -> bool:
        return self.steps[-1].gaps

    def clean_features(self, recorded: int) -> int:
        for step in reversed(self.steps):
            recorded = step.clean_features(recorded)
        return recorded

    def clean_columns(self, recorded: tuple[str, ...] | None) -> tuple[str, ...] | None:
        for step in reversed(self.steps):
            recorded = step.clean_columns(recorded)
        return recorded


@dataclass(frozen=True, eq=False, repr=False, init=False)
class InSequence(Steps, Unresolved):
    """Several observations, the one nearest to the draw first.

    Arguments:
        steps: The observations.

    Example:
        >>> clean = mx.Mixture(torch.ones(1), mx.Normal(torch.zeros(1), torch.ones(1)))
        >>> noise = mx.observation.AdditiveNoise(scale=1.0)
        >>> clean.observed([noise, noise]).variance
        tensor(3.)
    """

    def __init__(self, steps: tuple[Observation, ...]) -> None:
        if not steps or not all(isinstance(step, Observation) for step in steps):
            refuse("observation", "one of mixtura.observation, or a sequence of them", repr(steps))
        object.__setattr__(self, "steps", tuple(steps))

    def resolve(self, frame: Frame) -> Observation:
        merged: list[Observation] = []
        for step in self.steps:
            done = step.resolve(frame)
            frame = done.passed_on(frame)
            joined = done.merged_into(merged[-1]) if merged else None
            merged = [*merged, done] if joined is None else [*merged[:-1], joined]
        return merged[0] if len(merged) == 1 else Chain._of(steps=tuple(merged))


@dataclass(frozen=True, eq=False, repr=False)
class Chain(Steps):
    """Resolved observations that do not merge: a Gaussian one, then one of another kind; others can only be drawn."""

    @property
    def side(self) -> tuple[Tensor, ...]:
        return tuple(tensor for step in self.steps for tensor in step.side)

    def at(self, side: Sequence[Tensor]) -> Self:
        pieces = iter(side)
        return self._replace(steps=tuple(step.at([next(pieces) for _ in step.side]) for step in self.steps))

    def recorded_shape(self, components: Component) -> torch.Size:
        for step in self.steps:
            components = step.observed(components) if step is not self.steps[-1] else components
        return self.steps[-1].recorded_shape(components)

    def _pair(self) -> tuple[Any, Observation]:
        """The Gaussian observation and the one behind it."""
        first, *others = self.steps
        both = bool(first.side and others[0].side) and not others[0].row_by_row
        if first.carries and len(others) == 1 and not both:
            return first, others[0]
        names = ", then ".join(type(step).__name__ for step in self.steps)
        raise NotClosedForm(
            f"There is no density for {names}. There is one for Gaussian observations followed by one of another "
            "kind; draws and `sample` work for all."
        )

    def log_joint(self, mixture: Mixture, y: Tensor) -> Tensor:
        first, last = self._pair()
        if first.side:
            return super().log_joint(mixture, y)
        return last.log_joint(mixture._of(mixture.logits, first.law(mixture.components)), y)

    def apply(self, mixture: Mixture) -> Mixture:
        first, last = self._pair()
        if first.side and not last.selects:
            return super().apply(mixture)
        return last.apply(first.apply(mixture))

    def log_prob(self, components: Component, y: Tensor) -> Tensor:
        first, last = self._pair()
        return last.log_prob(first.law(components), y)

    def before_selection(self, components: Component, y: Tensor) -> Tensor:
        first, last = self._pair()
        return last.before_selection(first.law(components), y)

    def kinds(self, y: Tensor) -> Tensor | None:
        return self.steps[-1].kinds(y)

    def of_kind(self, y: Tensor, kind: Sequence[int]) -> tuple[Observation, Tensor, Sequence[int] | None]:
        last, y, kept = self.steps[-1].of_kind(y, kind)
        return ChainOfKind._of(steps=(*self.steps[:-1], last)), y, kept

    def moments(self, components: Component) -> tuple[Tensor, Tensor]:
        first, last = self._pair()
        return last.moments(first.law(components))

    def record(self, x: Tensor, labels: Tensor, generator: Generator | None, components: Component | None) -> Tensor:
        for step in self.steps:
            x = step.record(x, labels, generator, components)
            components = None if components is None else step.observed(components)
        return x

    def expect(
        self, components: Component, logits: Tensor, y: Tensor, weight: Tensor | None, labels: Labels
    ) -> Statistics:
        first, last = self._pair()
        if first.side:
            return super().expect(components, logits, y, weight, labels)
        return first.carried_back(components, last.expect(first.law(components), logits, y, weight, labels))

    @property
    def selects(self) -> bool:
        return self.steps[-1].selects

    def unrecorded(self, components: Component, logits: Tensor, count: Tensor) -> Statistics:
        first, last = self._pair()
        if first.side:
            return first.unrecorded_behind(components, last, logits, count)
        return first.carried_back(components, last.unrecorded(first.law(components), logits, count))

    def log_recorded(self, mixture: Mixture) -> Tensor:
        if not self.selects:
            return super().log_recorded(mixture)
        first, last = self._pair()
        return last.log_recorded(mixture._of(mixture.logits, first.law(mixture.components)))

    def complete(self, components: Component, y: Tensor, r: Tensor) -> tuple[Tensor, ...]:
        first, last = self._pair()
        return first.completed_behind(components, last, y, r)

    def clean_moments(self, components: Component, y: Tensor) -> tuple[Tensor, Tensor]:
        first, last = self._pair()
        return first.moments_behind(components, *last.clean_moments(first.law(components), y))

    def first_guess(self, y: Tensor) -> tuple[Tensor, Tensor]:
        first, last = self._pair()
        mean, variance = last.first_guess(y)
        draws = mean + variance.sqrt() * torch.linspace(-1.5, 1.5, len(y), dtype=y.dtype, device=y.device)[:, None]
        return first.first_guess(draws)


@dataclass(frozen=True, eq=False, repr=False)
class ChainOfKind(Chain):
    """The same of rows of one kind: with no look at a number where the last observation takes none."""

    def density(self, components: Component, y: Tensor) -> Tensor:
        first, last = self._pair()
        return last.density(first.trusted(components), y if components.event_shape else y.unsqueeze(-1))

    def log_joint(self, mixture: Mixture, y: Tensor) -> Tensor:
        return mixture.logits + self.density(mixture.components, over(y, mixture.components))

    def log_recorded(self, mixture: Mixture) -> Tensor:
        first, last = self._pair()
        return last.log_recorded(mixture._of(mixture.logits, first.trusted(mixture.components)))


def as_one(observation: Any) -> Observation:
    """Returns the observation itself, or several as one.

    Raises:
        MixtureError: If it is neither one of `mixtura.observation` nor a sequence of them.
    """
    steps = list(observation) if isinstance(observation, (list, tuple)) else [observation]
    if not steps or not all(isinstance(step, Observation) for step in steps):
        refuse("observation", "one of mixtura.observation, or a sequence of them", repr(observation))
    return steps[0] if len(steps) == 1 else InSequence(tuple(steps))
