"""Rules side by side on problems: every number beside what exact samples would have given."""

from __future__ import annotations

import time
from collections.abc import Iterator, Mapping, Sequence
from typing import NamedTuple, Protocol

from torch import Generator, Tensor

from ..metrics import Metric, ModeSpreads, ModeWeights, SlicedWasserstein, Yardstick
from ..problems import Problem
from .setting import Setting

__all__ = ["METRICS", "Cell", "Drawn", "compare"]

METRICS: tuple[Metric, ...] = (SlicedWasserstein(slices=50), ModeWeights(), ModeSpreads())
"""How far the law is off, the modes' weights, and how wide they are."""


class Drawn(Protocol):
    """What draws samples of a problem: a rule, or an object of a user's."""

    def draw(self, problem: Problem, setting: Setting, generator: Generator | None = None) -> Tensor:
        """Returns samples ``(samples, D)``."""
        ...


class Cell(NamedTuple):
    """One rule on one problem by one metric.

    Arguments:
        problem: The problem's name.
        rule: The rule's.
        metric: The metric's.
        value: Of the rule's samples.
        floor: The mean over sets of exact samples.
        scale: The standard deviation over them.
        p_value: The probability of such a value, were the samples exact.
        seconds: What the samples took.
    """

    problem: str
    rule: str
    metric: str
    value: float
    floor: float
    scale: float
    p_value: float
    seconds: float


def compare(
    problem: Problem,
    rules: Mapping[str, Drawn],
    setting: Setting,
    metrics: Sequence[Metric] = METRICS,
    floors: int = 19,
    seed: int = 0,
) -> Iterator[Cell]:
    """Returns what each metric says of each rule, one rule after another.

    Arguments:
        problem: What is asked.
        rules: Who answers, by name.
        setting: How samples are drawn.
        metrics: What is measured.
        floors: How many sets of exact samples there are.
        seed: Of the random numbers, the same for all rules.

    Example:
        >>> problem = mx.diffusion.problems.tutorial_2d()
        >>> rules, setting = mx.diffusion.bench.chosen(["exact"]), mx.diffusion.bench.Setting(200, 20)
        >>> [cell.metric for cell in mx.diffusion.bench.compare(problem, rules, setting)]
        ['SW1', 'weights', 'spreads']
    """
    exact = problem.posterior.sample((floors, setting.samples), Generator().manual_seed(seed))
    yardsticks = [Yardstick(metric, problem.posterior, exact) for metric in metrics]
    for name, rule in rules.items():
        began = time.perf_counter()
        samples = rule.draw(problem, setting, Generator().manual_seed(seed + 1))
        took = time.perf_counter() - began
        yield from (Cell(problem.name, name, one.metric.name, *one(samples), took) for one in yardsticks)
