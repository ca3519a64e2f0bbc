r"""What a posterior sampler is asked: a prior, how it was observed, what was recorded, and the answer.

.. math:: x \sim p_0, \qquad y = A x + \varepsilon, \quad \varepsilon \sim N(0, S),

and :math:`p(x|y)` is a mixture again, exactly.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from functools import cached_property
from typing import Any

from torch import Generator, Tensor

from ...mixture import Mixture
from ..laws import Process
from ..schedules import Schedule

__all__ = ["Problem"]


@dataclass(frozen=True, eq=False)
class Problem:
    """An inverse problem of which everything is known.

    Arguments:
        name: What it is called.
        mixture: The prior, a mixture of Gaussians.
        observation: How y was recorded.
        y: What was recorded: ``(M,)``.
        clean: What it was recorded of: ``(D,)``.
        schedule: The noise that its authors use.

    Example:
        >>> problem = mx.diffusion.problems.tutorial_2d()
        >>> problem.posterior.mean
        tensor([1.4951, 1.5744], dtype=torch.float64)
    """

    name: str
    mixture: Mixture
    observation: Any
    y: Tensor
    clean: Tensor
    schedule: Schedule

    @cached_property
    def posterior(self) -> Mixture:
        """The law of the clean value given what was recorded: a mixture."""
        return self.mixture.posterior(self.observation, self.y)

    @cached_property
    def process(self) -> Process:
        """The prior under the schedule."""
        return Process(self.mixture, self.schedule)

    @cached_property
    def answer(self) -> Process:
        """The posterior under the schedule: whose law at the end of time samplers ought to start from."""
        return Process(self.posterior, self.schedule)

    @property
    def features(self) -> int:
        """The number of coordinates D."""
        return self.process.features

    def under(self, schedule: Schedule) -> Problem:
        """Returns the problem under other noise."""
        return replace(self, schedule=schedule)

    def again(self, generator: Generator | None = None) -> Problem:
        """Returns the problem with another clean draw of the prior, recorded anew: what calibration is asked over.

        Example:
            >>> problem = mx.diffusion.problems.tutorial_2d().again(torch.Generator().manual_seed(0))
            >>> problem.y.shape
            torch.Size([1])
        """
        clean = self.mixture.sample((), generator)
        y = self.observation.sample(clean.unsqueeze(0), generator).squeeze(0)
        return replace(self, clean=clean, y=y)
