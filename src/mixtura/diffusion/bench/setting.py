"""How samples are drawn for a comparison: the same for every rule."""

from __future__ import annotations

from dataclasses import dataclass, field, replace

import torch
from torch import Generator, Tensor

from ...errors import refuse
from ...mixture import Mixture
from ..grids import Grid, LogSNRGrid
from ..guidance import Guidance
from ..problems import Problem
from ..samplers import DDIM, Sampler
from ..sampling import sample

__all__ = ["Setting"]


@dataclass(frozen=True)
class Setting:
    """A sampler and its settings.

    Arguments:
        samples: How many rows are drawn.
        steps: In how many steps.
        sampler: How a step is made.
        grid: The times; by default at equal distances of the log signal-to-noise ratio, from the end of the schedule.
        exact_start: Whether rows start from the exact law of noisy rows given y, instead of from round noise. What is
            wrong with round noise stays with every rule, the exact kernel among them, as far as signal is left.

    Raises:
        MixtureError: If there are no samples, or no steps.

    Example:
        >>> problem = mx.diffusion.problems.tutorial_2d()
        >>> setting = mx.diffusion.bench.Setting(samples=2000, steps=20)
        >>> guidance = mx.diffusion.ExactGuidance(problem.observation, problem.y)
        >>> x = setting.draw(problem, guidance, torch.Generator().manual_seed(0))
        >>> (x.mean(0) - problem.posterior.mean).abs().max() < 0.1
        tensor(True)
    """

    samples: int = 1000
    steps: int = 100
    sampler: Sampler = field(default_factory=lambda: DDIM(eta=1.0))
    grid: Grid = field(default_factory=lambda: LogSNRGrid(most=1e4))
    exact_start: bool = False

    def __post_init__(self) -> None:
        for name in ("samples", "steps"):
            if not getattr(self, name) >= 1:
                refuse(name, "at least 1", getattr(self, name))

    def draw(self, problem: Problem, guidance: Guidance | None, generator: Generator | None = None) -> Tensor:
        """Returns samples ``(samples, D)`` of a problem, under guidance or of the prior."""
        start = self.start(problem) if self.exact_start else None
        shape = (self.samples, *problem.mixture.event_shape)
        common = {"generator": generator, "grid": self.grid, "start": start}
        with torch.no_grad():
            return sample(problem.process, problem.schedule, shape, self.steps, self.sampler, guidance, **common)

    def start(self, problem: Problem) -> Mixture:
        """Returns the exact law of noisy rows given y at the first of the times."""
        return problem.answer.at(self.grid.times(problem.schedule, self.steps)[0])

    def starting(self, exact: bool) -> Setting:
        """Returns the setting with the one start or the other."""
        return replace(self, exact_start=exact)
