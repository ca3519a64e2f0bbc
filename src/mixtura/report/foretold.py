"""What a regression amounts to: a joint mixture, rows that were held out, and how well it foretold their target."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import NamedTuple

import torch
from torch import Tensor

from ..components import Normal
from ..mixture import Mixture
from ..mixture.rows_with_gaps import given_rows
from ..scoring import Calibration, Judgement, calibrate, judge
from .digits import count, rounded

__all__ = ["Foretold", "Tried", "numbers_given"]


class Tried(NamedTuple):
    """A number of components and a shape, and what they foretold of rows left out, in nats per row."""

    components: int
    covariance: str
    log_density: float


@dataclass(frozen=True, eq=False)
class Foretold:
    """A regression and the rows held out of it.

    Arguments:
        joint: The mixture of the features and then the target, with the names of the columns.
        x: The features of the rows held out, ``(N, D)``; NaN where one is missing.
        y: Their target, ``(N,)``.
        numbers: Which rows of the table they are, ``(N,)``.
        weight: How much each counts, or none.
        level: The level of the intervals.
        tried: The models that were tried, the best first.
        learned: How many rows were learned from.
        source: What the rows are called, such as the name of their file.
        made: Lines for the last section.
    """

    joint: Mixture
    x: Tensor
    y: Tensor
    numbers: Tensor
    weight: Tensor | None
    level: float
    tried: Sequence[Tried]
    learned: int
    source: str
    made: Mapping[str, str]

    @property
    def features(self) -> tuple[str, ...]:
        """The names of the features."""
        return (self.joint.columns or ())[:-1]

    @property
    def target(self) -> str:
        """The name of the target."""
        return (self.joint.columns or ("y",))[-1]

    @cached_property
    def given(self) -> Mixture:
        """The mixture of the target of each row held out."""
        return numbers_given(self.joint, self.x)

    @cached_property
    def judgement(self) -> Judgement:
        """How well it was foretold."""
        return judge(self.given, self.y, levels=(0.5, self.level), weight=self.weight)

    @cached_property
    def nothing(self) -> Judgement:
        """How well it would be foretold by one who does not see the features."""
        alone = self.joint.marginal([len(self.features)])
        return judge(alone, self.y.unsqueeze(-1), levels=(self.level,), weight=self.weight)

    @cached_property
    def calibration(self) -> Calibration:
        """What makes the intervals of new rows hold their share."""
        return calibrate(self.given, self.y)

    @cached_property
    def alone(self) -> tuple[tuple[str, float], ...]:
        """What each feature tells by itself, in nats per row more than nothing does; that which tells most first."""
        there, found = ~self.x.isnan(), []
        for d, name in enumerate(self.features):
            rows = there[:, d]
            pair = self.joint.marginal([d, len(self.features)])
            gain = self.y.new_zeros(())
            if bool(rows.any()):
                given = pair.condition([0], self.x[rows, d : d + 1])
                y = self.y[rows].unsqueeze(-1)
                gain = (given.log_prob(y) - pair.marginal([1]).log_prob(y)).mean()
            found.append((name, gain.item()))
        return tuple(sorted(found, key=lambda one: -one[1]))

    @cached_property
    def p_values(self) -> Tensor:
        """The share of the rows held out whose target was no likelier."""
        density = self.judgement.log_density
        return torch.searchsorted(density.sort().values, density, right=True) / len(density)

    @property
    def answer(self) -> str:
        """The answer, in one sentence."""
        best, found = self.tried[0], self.judgement
        held = found.coverage[-1]
        gain = found.mean_log_density - self.nothing.mean_log_density
        scale = self.y.std().item() if len(self.y) > 1 else 1.0
        return (
            f"{count(best.components, 'component')} ({best.covariance}): {count(len(self.features), 'feature')} tell "
            f"{gain:.3f} nats per row of {self.target}. CRPS {rounded(found.crps, scale)}, without features "
            f"{rounded(self.nothing.crps, scale)}; intervals of {100 * held.level:g} % held "
            f"{100 * held.share:.1f} % of {count(len(self.y), 'row')} held out."
        )


def numbers_given(joint: Mixture, x: Tensor) -> Mixture:
    """Returns the mixtures of the last column as numbers, given rows of the others."""
    with torch.no_grad():
        found = given_rows(joint, x)
        return Mixture._of(found.logits, Normal.of(found.components.gaussian_law))
