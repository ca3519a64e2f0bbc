"""The rules that are compared, by the names that the command line knows."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from functools import partial

from torch import Generator, Tensor

from ...errors import refuse
from ..guidance import (
    DAPS,
    DPS,
    FPS,
    MMPS,
    PGDM,
    TMPD,
    DiagonalTMPD,
    DiffPIR,
    ExactGuidance,
    Guidance,
    RowSumTMPD,
)
from ..problems import Problem
from ..samplers import Ancestral, Sampler
from .setting import Setting

__all__ = ["RULES", "Rule", "chosen"]


@dataclass(frozen=True)
class Rule:
    """A way to draw what was asked.

    Arguments:
        about: What it is, in a few words.
        guidance: Makes the guidance of a problem; none, to draw from the prior.
        sampler: The sampler that belongs to it; none, for that of the setting.
    """

    about: str
    guidance: Callable[[Problem], Guidance | None]
    sampler: Sampler | None = None

    def draw(self, problem: Problem, setting: Setting, generator: Generator | None = None) -> Tensor:
        """Returns samples of a problem ``(samples, D)``."""
        setting = setting if self.sampler is None else replace(setting, sampler=self.sampler)
        return setting.draw(problem, self.guidance(problem), generator)


def _by(guidance: Callable[..., Guidance], problem: Problem) -> Guidance:
    return guidance(problem.observation, problem.y)


def _annealed(problem: Problem) -> Guidance:
    return DAPS(problem.observation, problem.y, problem.schedule)


def _nothing(problem: Problem) -> None:
    return None


RULES: Mapping[str, Rule] = {
    "exact-kernel": Rule("draws of the exact reverse kernel", partial(_by, ExactGuidance), Ancestral()),
    "exact": Rule("the exact conditional score", partial(_by, ExactGuidance)),
    "tmpd": Rule("Gaussian with both moments", partial(_by, TMPD)),
    "tmpd-diagonal": Rule("its diagonal", partial(_by, DiagonalTMPD)),
    "tmpd-row-sum": Rule("its row sums", partial(_by, RowSumTMPD)),
    "mmps": Rule("one conjugate gradient towards tmpd", partial(_by, MMPS)),
    "pgdm": Rule("round, by the noise and unit variance", partial(_by, PGDM)),
    "dps": Rule("the likelihood at the mean", partial(_by, DPS)),
    "dps-step": Rule("the same in a step of length 1", partial(_by, partial(DPS, step=1.0))),
    "diffpir": Rule("the nearest draw that agrees", partial(_by, DiffPIR)),
    "daps": Rule("from the end of the flow, with noise anew", _annealed, Ancestral()),
    "fps": Rule("the record diffused, too", partial(_by, FPS)),
    "prior": Rule("nothing is learned from y", _nothing),
}
"""Every rule, from the exact ones to none at all."""


def chosen(names: Sequence[str] | None = None) -> dict[str, Rule]:
    """Returns rules by their names; all of them, if none are given.

    Raises:
        MixtureError: If there is none of a name.

    Example:
        >>> list(mx.diffusion.bench.chosen(["tmpd", "dps"]))
        ['tmpd', 'dps']
    """
    for name in names or ():
        if name not in RULES:
            refuse("guidance", f"all, or some of {', '.join(RULES)}", repr(name))
    return {name: RULES[name] for name in names or RULES}
