"""How the rows were recorded that a mixture was learned from, as far as it holds for other rows, too.

An observation may be the same for every row, such as a known noise; then it can be kept beside the mixture. Or each row
has its own, such as errors in columns of a table; then only that can be kept, with the columns' names where they are
known, and who reads other rows must bring theirs.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from dataclasses import dataclass
from typing import Any

from torch import Tensor

from .._value import Value
from ..components import Component
from ..components.observation import Observation
from ..components.observation_sequence import as_one
from ..errors import refuse
from .measurement import Missing
from .noise import AdditiveNoise

__all__ = ["ErrorsByRow", "OfEachRow", "Plain", "Recording", "SameForAll", "recording_of"]


class Recording(Value, ABC):
    """What is needed to read rows as those were read that a mixture was learned from."""

    gaps: bool
    """Whether NaN means that nothing was recorded."""

    columns: tuple[str, ...] | None = None
    """The names of the columns that were recorded, where they are not those of the mixture."""

    errors: tuple[str, ...] | None = None
    """The names of the columns that held errors, where errors are needed and their columns were named."""

    @abstractmethod
    def observation(self, scale: Tensor | None = None) -> Observation | None:
        """Returns the observation of rows, from the scales of their errors ``(N, D)`` where they have some.

        Raises:
            MixtureError: If rows need what is not given, or what is given does not go with how they were recorded.
        """

    def features(self, components: Component) -> int:
        """Returns how many numbers are recorded of a draw of the components."""
        return components.event_shape.numel()

    def named(self, columns: tuple[str, ...] | None, errors: tuple[str, ...] | None) -> Recording:
        """Returns the same with the names of what was recorded, and of errors, where they belong to it."""
        return self


@dataclass(frozen=True, eq=False, repr=False)
class Plain(Recording):
    """Rows as they were drawn, perhaps with gaps; errors of other rows may be given.

    Example:
        >>> mx.observation.recording.Plain(gaps=False).observation() is None
        True
    """

    gaps: bool = False

    def observation(self, scale: Tensor | None = None) -> Observation | None:
        return _errors_and_gaps(scale, self.gaps)


@dataclass(frozen=True, eq=False, repr=False)
class ErrorsByRow(Recording):
    """Rows with errors of their own, perhaps with gaps: errors must be given."""

    gaps: bool
    errors: tuple[str, ...] | None = None

    def observation(self, scale: Tensor | None = None) -> Observation | None:
        if scale is None:
            advice = "Name the columns that hold the standard deviations of the errors, one for each column."
            expected = "given, for the model was learned from rows with errors and describes the values behind them"
            refuse("errors", expected, "none", advice)
        return _errors_and_gaps(scale, self.gaps)

    def named(self, columns: tuple[str, ...] | None, errors: tuple[str, ...] | None) -> Recording:
        return self._replace(errors=errors)


@dataclass(frozen=True, eq=False, repr=False)
class SameForAll(Recording):
    """Rows that were all recorded through one observation.

    Arguments:
        through: The observation.
        columns: The names of the columns that were recorded.
    """

    through: Any
    columns: tuple[str, ...] | None = None

    @property
    def gaps(self) -> bool:  # type: ignore[override]
        return self.through.gaps

    def observation(self, scale: Tensor | None = None) -> Observation | None:
        if scale is not None:
            refuse("errors", "left out: the model knows how its rows were recorded", "errors")
        return self.through

    def features(self, components: Component) -> int:
        return self.through.recorded_shape(components).numel()

    def named(self, columns: tuple[str, ...] | None, errors: tuple[str, ...] | None) -> Recording:
        return self._replace(columns=columns)


@dataclass(frozen=True, eq=False, repr=False)
class OfEachRow(Recording):
    """Rows that each have more of their own than errors, such as limits or a projection: no table holds that."""

    kind: str
    gaps: bool

    def observation(self, scale: Tensor | None = None) -> Observation | None:
        advice = "In Python: mixture.observed(observation).log_prob(rows), with the observation of these rows."
        refuse("MODEL", "one whose rows were recorded alike, or with errors", f"{self.kind}, each row its own", advice)


def recording_of(observation: Observation) -> Recording:
    """Returns what of a resolved observation holds for other rows, too.

    Example:
        >>> from mixtura.observation.recording import recording_of
        >>> fit = mx.fit(mx.datasets.old_faithful(), 1, observation=mx.observation.Missing())
        >>> recording_of(fit.rows.observation)
        Plain(gaps=True)
    """
    scale = observation.errors
    if scale is None:
        kept = SameForAll(observation.map(Tensor.detach))
        return OfEachRow(type(observation).__name__, observation.gaps) if observation.side else kept
    if len(scale) > 1:
        return ErrorsByRow(observation.gaps)
    return SameForAll(observation) if bool(scale.any()) else Plain(observation.gaps)


def _errors_and_gaps(scale: Tensor | None, gaps: bool) -> Observation | None:
    steps: list[Observation] = [] if scale is None else [AdditiveNoise(scale=scale, per_row=True)]
    steps += [Missing()] if gaps else []
    return as_one(steps) if steps else None
