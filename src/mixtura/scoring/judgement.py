"""All scores of a batch of mixtures at once: what a table, a report or a comparison needs."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, NamedTuple

import torch
from torch import Generator, Tensor

from ..errors import refuse
from ..mixture import Mixture
from .crps import crps
from .energy import energy_score
from .intervals import central_interval
from .targets import observed_targets
from .transforms import pit

__all__ = ["Coverage", "Judgement", "judge"]


class Coverage(NamedTuple):
    """How often intervals held their target.

    Arguments:
        level: How often they should.
        share: How often they did.
        error: The standard error of the share, if the level is right and targets are independent.
        width: The mean width, in the units of the target.
    """

    level: float
    share: float
    error: float
    width: float


@dataclass(frozen=True, eq=False, repr=False)
class Judgement:
    """The scores of mixtures on targets, row by row and in the mean.

    Arguments:
        log_density: The log-density of each target, ``(N,)``, in nats; higher is better.
        distance: The CRPS of each number, or the energy score of each vector, ``(N,)``, in the units of the target;
            lower is better.
        pit: The probability integral transforms, ``(N, *event)``: uniform where the mixtures are true.
        coverage: Central intervals of some levels.
        weight: How much each row counts, ``(N,)``; the weights sum to one.
    """

    log_density: Tensor
    distance: Tensor
    pit: Tensor
    coverage: tuple[Coverage, ...]
    weight: Tensor

    @property
    def mean_log_density(self) -> float:
        """The mean log-density, in nats per row."""
        return _average(self.weight, self.log_density)

    @property
    def crps(self) -> float:
        """The mean continuous ranked probability score, which for vectors is called energy score."""
        return _average(self.weight, self.distance)

    def __repr__(self) -> str:
        held = ", ".join(f"{one.share:.1%} of {one.level:.0%} intervals held" for one in self.coverage)
        scores = f"{self.mean_log_density:.4g} nats a row, CRPS {self.crps:.4g}"
        return f"Judgement({len(self.weight)} rows: {scores}" + f"; {held}" * bool(held) + ")"

    def most_surprising(self, count: int = 10) -> Tensor:
        """Returns the numbers of the rows whose target was the least likely, the least likely first."""
        order = self.log_density.argsort(stable=True)
        return order[self.weight[order] > 0][:count]


def judge(
    mixture: Mixture,
    y: Any,
    levels: Sequence[float] = (0.5, 0.9),
    weight: Any = None,
    generator: Generator | None = None,
) -> Judgement:
    """Judges the distributions that were foretold for rows by the targets that came.

    Arguments:
        mixture: A mixture for each row, with batch shape ``(N,)``, or one for all rows.
        y: The targets, with shape ``(N, *event)``.
        levels: The levels of the intervals to count.
        weight: How much each row counts, ``(N,)``; all the same if none is given.
        generator: The source of randomness for families without exact scores, and for transforms of counts.

    Raises:
        MixtureError: If shapes do not fit, there are no rows, a target is NaN, or weights are negative or all zero.

    Example:
        >>> mixture = mx.Mixture(torch.ones(1), mx.Normal(torch.zeros(1), torch.ones(1)))
        >>> found = mx.scoring.judge(mixture, torch.randn(1000, generator=torch.Generator().manual_seed(0)))
        >>> found
        Judgement(1000 rows: -1.448 nats a row, CRPS 0.5753; 50.7% of 50% intervals held, 89.8% of 90% intervals held)
    """
    targets = observed_targets(mixture, y)
    if targets.ndim != len(mixture.event_shape) + 1 or not len(targets):
        refuse("y", "one target for each row, and some", tuple(targets.shape))
    share = _shares(weight, targets)
    with torch.no_grad():
        return Judgement(
            mixture.log_prob(targets),
            _distance(mixture, targets, generator),
            pit(mixture, targets, generator),
            tuple(_coverage(mixture, targets, level, share) for level in levels),
            share,
        )


def _distance(mixture: Mixture, y: Tensor, generator: Generator | None) -> Tensor:
    if mixture.event_shape.numel() == 1:
        return crps(mixture, y)
    return energy_score(mixture, y, generator=generator).value


def _coverage(mixture: Mixture, y: Tensor, level: float, weight: Tensor) -> Coverage:
    interval = central_interval(mixture, level)
    held, width = (
        one.expand(y.shape).to(weight).reshape(len(y), -1).mean(-1) for one in (interval.holds(y), interval.width)
    )
    error = (level * (1 - level) * weight.square().sum()).sqrt().item()
    return Coverage(level, _average(weight, held), error, _average(weight, width))


def _shares(weight: Any, y: Tensor) -> Tensor:
    given = torch.ones(len(y)) if weight is None else torch.as_tensor(weight)
    given = given.to(y.device, torch.float64)
    if given.shape != y.shape[:1] or not bool((given >= 0).all()) or not bool(0 < given.sum() < torch.inf):
        refuse("weight", f"{len(y)} numbers of at least 0, not all of them 0", tuple(given.shape))
    return given / given.sum()


def _average(weight: Tensor, values: Tensor) -> float:
    """The weighted mean; a row that does not count may be infinite."""
    return torch.where(weight > 0, weight * values, 0).sum().item()
