r"""A sampler's error taken apart, by taking out one cause after another.

With a metric m, samples x of a rule from round noise, and the same with the exact start :math:`p_T(x|y)`, and with the
exact guidance as well,

.. math::

    m(\text{rule}) = \underbrace{m(\text{rule}) - m(\text{rule, exact start})}_{\text{start}}
    + \underbrace{m(\text{rule, exact start}) - m(\text{exact, exact start})}_{\text{guidance}} \\
    + \underbrace{m(\text{exact, exact start}) - \text{floor}}_{\text{discretisation}} + \text{floor},

where the floor is what exact samples have. Metrics do not add up by nature: the parts are differences in this order,
and each bears the Monte Carlo error of two numbers.
"""

from __future__ import annotations

import math
from dataclasses import dataclass

from torch import Generator

from ..errors import refuse
from .bench.setting import Setting
from .guidance import ExactGuidance, Guidance
from .metrics import Metric, SlicedWasserstein, Yardstick
from .problems import Problem

__all__ = ["Attribution", "attribute"]


@dataclass(frozen=True)
class Attribution:
    """The parts of an error, which sum to its total.

    Arguments:
        start: From round noise instead of the exact law of noisy rows.
        guidance: From the rule instead of the exact posterior's denoiser.
        discretisation: From a finite number of steps.
        floor: From a finite number of samples.
        scale: The standard error of a part: that of a difference of two means over the repeats.
    """

    start: float
    guidance: float
    discretisation: float
    floor: float
    scale: float

    @property
    def total(self) -> float:
        """The metric of the rule's samples."""
        return sum(self.parts.values())

    @property
    def parts(self) -> dict[str, float]:
        """The parts by their names, as `pictures.attribution` draws them."""
        names = ("start", "guidance", "discretisation", "floor")
        return dict(zip(names, (self.start, self.guidance, self.discretisation, self.floor), strict=True))

    def __str__(self) -> str:
        lines = [f"{name:<15}{value:9.4f}" for name, value in {**self.parts, "total": self.total}.items()]
        return "\n".join([*lines, f"{'part, ±':<15}{self.scale:9.4f}"])


def attribute(
    problem: Problem,
    guidance: Guidance,
    setting: Setting | None = None,
    metric: Metric | None = None,
    repeats: int = 3,
    seed: int = 0,
) -> Attribution:
    """Returns what of a guided sampler's error is of its start, its guidance, its steps and the number of samples.

    Arguments:
        problem: What is asked.
        guidance: How the sampler learns of y.
        setting: The sampler, its steps and the number of samples.
        metric: What is measured; by default `SlicedWasserstein`.
        repeats: How many runs of each are averaged.
        seed: Of the first run; all of a run start from one state of the random numbers.

    Raises:
        MixtureError: If there are no runs.

    Example:
        >>> problem = mx.diffusion.problems.tutorial_2d()
        >>> guidance = mx.diffusion.DiffPIR(problem.observation, problem.y)
        >>> parts = mx.diffusion.attribute(problem, guidance, mx.diffusion.bench.Setting(300, 50))
        >>> parts.guidance > 5 * parts.scale
        True
    """
    if not repeats >= 1:
        refuse("repeats", "at least 1", repeats)
    setting, metric = setting or Setting(), metric or SlicedWasserstein()
    floors = problem.posterior.sample((19, setting.samples), Generator().manual_seed(seed))
    yardstick = Yardstick(metric, problem.posterior, floors)

    def mean(exact_start: bool, by: Guidance) -> float:
        run, seeds = setting.starting(exact_start), range(seed + 1, seed + 1 + repeats)
        return sum(yardstick(run.draw(problem, by, Generator().manual_seed(k))).value for k in seeds) / repeats

    exact = ExactGuidance(problem.observation, problem.y)
    full, warm, ideal = mean(False, guidance), mean(True, guidance), mean(True, exact)
    floor, scale = float(yardstick.floors.mean()), float(yardstick.floors.std()) * math.sqrt(2 / repeats)
    return Attribution(full - warm, warm - ideal, ideal - floor, floor, scale)
