"""What `fit` and `select` are asked, and how it is answered."""

from __future__ import annotations

import sys
from collections.abc import Sequence
from dataclasses import dataclass, replace
from functools import cached_property
from pathlib import Path
from typing import Any, NamedTuple

import numpy

from ..data import Rows, grouping
from ..data.groups import Groups
from ..learning import Fit, Reason, Selection
from ..learning.fit import fit
from ..learning.groups.select_groups import GroupSelection
from ..learning.select import EVERY, select
from ..mixture import Mixture
from ..observation import Observation
from .errors_of import observation_of
from .methods import Learner, looked_up
from .options import counts, generator, listed
from .reading import chosen, read, seen

__all__ = ["GroupOutcome", "Outcome", "Question"]


class Outcome(NamedTuple):
    """The best fit, and the selection that chose it, where there was more than one model."""

    best: Fit
    selection: Selection | None

    @property
    def model(self) -> Selection | Fit:
        """All that was found."""
        return self.selection or self.best

    @property
    def interrupted(self) -> bool:
        """Whether Ctrl-C ended the work before all was tried."""
        return self.best.reason is Reason.INTERRUPTED if self.selection is None else self.selection.interrupted


class GroupOutcome(NamedTuple):
    """The best mixture of each group in one batch, the selection that chose them, and which group each row is of."""

    mixture: Mixture
    selection: GroupSelection
    groups: Groups


@dataclass(frozen=True)
class Question:
    """Data, and the models to try on them, as they were typed."""

    data: Path
    columns: str | None
    weight: str | None
    components: str
    covariance: str | None
    criterion: str
    method: str
    prior: str
    seed: int
    restarts: int
    max_iterations: int | None
    tolerance: float | None
    progress: bool | None
    errors: str | None = None
    drop: str | None = None
    by: str | None = None

    @cached_property
    def chosen(self) -> Sequence[str] | None:
        """The columns to use; none for all."""
        apart = [*(listed(self.errors) or []), *filter(None, [self.weight, self.by])]
        drop = listed(self.drop) if self.by is None else [*(listed(self.drop) or []), self.by]
        return chosen(self.data, listed(self.columns), drop, apart)

    @cached_property
    def recorded(self) -> Rows:
        """The rows as they are in the file; one column is read as single numbers."""
        return read(self.data, self.chosen, self.weight)

    @cached_property
    def observation(self) -> Observation | None:
        """What the errors and the missing cells of the file say about how its rows were observed."""
        return observation_of(self.recorded, self.data, self.chosen, listed(self.errors))

    @cached_property
    def rows(self) -> Rows:
        """The rows with how they were observed."""
        return seen(self.recorded, self.observation)

    def ask(self) -> Outcome:
        """Fits every model, and orders the best one's components by falling weight."""
        components, covariance, common = counts(self.components), self._shapes, self._common
        if len(components) * len(covariance) == 1:
            return Outcome(_ordered(fit(self.recorded, components[0], covariance[0], **common)), None)
        found = select(self.recorded, components, covariance, self.criterion, **common)
        best = _ordered(found.best)
        return Outcome(best, replace(found, best=best, fits=(best, *found.fits[1:])))

    def ask_groups(self) -> GroupOutcome:
        """Fits every model to each group of rows, and orders the components of each one's best by falling weight."""
        groups = grouping(self.data, self.by)
        labels = numpy.asarray(groups.names)[groups.codes.numpy()]
        tried = counts(self.components), self._shapes, self.criterion
        found = select(self.recorded, *tried, **self._common, groups=labels)
        order = (-found.mixture.logits).argsort(dim=-1, stable=True)
        return GroupOutcome(found.mixture.reordered(order), found, groups)

    @property
    def _common(self) -> dict[str, Any]:
        """What every fit is told."""
        return {
            "method": self._learner.build(**self._limits),
            "restarts": self.restarts,
            "progress": self._shows_progress,
            "observation": self.observation,
            "generator": generator(self.seed),
        }

    @property
    def _learner(self) -> Learner:
        return looked_up(self.method, self.prior)

    @property
    def _shapes(self) -> list[str]:
        return listed(self.covariance) or list(self._learner.shapes or EVERY)

    @property
    def _limits(self) -> dict[str, Any]:
        given = {"max_iterations": self.max_iterations, "tolerance": self.tolerance}
        return {name: value for name, value in given.items() if value is not None}

    @property
    def _shows_progress(self) -> bool:
        return sys.stdout.isatty() if self.progress is None else self.progress

    @property
    def typed(self) -> dict[str, Any]:
        """The settings that a person chose or left, by their names on the command line."""
        return {
            "data": str(self.data),
            "weight": self.weight,
            "errors": listed(self.errors),
            "drop": listed(self.drop),
            "by": self.by,
            "components": counts(self.components),
            "covariance": self._shapes,
            "criterion": self.criterion,
            "method": self.method,
            "prior": self.prior,
            "seed": self.seed,
            "restarts": self.restarts,
        }


def _ordered(best: Fit) -> Fit:
    return replace(best, mixture=best.mixture.order())
