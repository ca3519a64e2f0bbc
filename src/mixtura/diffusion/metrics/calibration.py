r"""Whether a posterior sampler is calibrated: regions of highest density hold the clean value as often as they say.

For a clean draw :math:`x^*` of the prior, what is recorded of it, y, and N samples :math:`x_i` given y, let

.. math:: u = \frac1N\#\{i: \log p(x_i|y) > \log p(x^*|y)\} .

The region of highest density that holds a share c of the samples holds :math:`x^*` where :math:`u < c`. Of exact
samples the N + 1 values of Nu are equally probable, whatever the problem: samples that are too narrow or in the wrong
place give too large u, those that are too wide too small.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import torch
from torch import Generator, Tensor

from ...errors import refuse
from ..problems import Problem

__all__ = ["Coverage", "coverage"]

_LEVELS = (0.5, 0.8, 0.9, 0.95)
_NULL = 2000  # simulated statistics for the p-value


@dataclass(frozen=True, eq=False)
class Coverage:
    """How often regions of highest density held the clean value.

    Arguments:
        levels: What the regions promise.
        covered: How often they held it.
        ranks: N u for every simulation, ``(S,)``.
        p_value: Of the Kolmogorov-Smirnov distance of the ranks from equal probability.
    """

    levels: tuple[float, ...]
    covered: tuple[float, ...]
    ranks: Tensor
    p_value: float


def coverage(
    sampler: Callable[[Problem, Generator], Tensor],
    problem: Problem,
    simulations: int = 100,
    generator: Generator | None = None,
) -> Coverage:
    """Returns how a sampler's regions of highest density cover clean draws of the prior, over many y.

    Arguments:
        sampler: Called with a problem and a generator; returns samples ``(N, D)`` given the problem's y.
        problem: The prior and how it is recorded; clean values and y are drawn anew.
        simulations: The number of y.
        generator: The source of randomness.

    Raises:
        MixtureError: If ``simulations`` is below 1.

    Source: Cook, Gelman and Rubin (2006); Talts et al. (2018), with the log-density as the quantity that is ranked.

    Example:
        >>> found = mx.diffusion.metrics.coverage(
        ...     lambda problem, generator: problem.posterior.sample((50,), generator),
        ...     mx.diffusion.problems.tutorial_2d(), generator=torch.Generator().manual_seed(0))
        >>> found.p_value > 0.01
        True
    """
    if simulations < 1:
        refuse("simulations", "at least 1", simulations)
    draw = Generator().manual_seed(torch.seed()) if generator is None else generator
    ranks, count = [], 1
    for _ in range(simulations):
        again = problem.again(draw)
        samples = sampler(again, draw)
        count = len(samples)
        ranks.append((again.posterior.log_prob(samples) > again.posterior.log_prob(again.clean)).sum())
    found = torch.stack(ranks)
    share = found.double() / count
    covered = tuple(float((share < level).double().mean()) for level in _LEVELS)
    return Coverage(_LEVELS, covered, found, _p_value(found, count, draw))


def _p_value(ranks: Tensor, count: int, draw: Generator) -> float:
    """How often as many uniform numbers are as far from uniform; ranks are spread over the width of one."""
    jitter = torch.rand(ranks.shape, generator=draw, dtype=torch.float64)
    found = _distance((ranks + jitter) / (count + 1))
    null = _distance(torch.rand(_NULL, len(ranks), generator=draw, dtype=torch.float64))
    return float((1 + (null >= found).sum()) / (1 + _NULL))


def _distance(u: Tensor) -> Tensor:
    """Kolmogorov's and Smirnov's distance of numbers ``(..., S)`` from the uniform law."""
    x, steps = u.sort(-1).values, torch.arange(u.shape[-1] + 1, dtype=u.dtype) / u.shape[-1]
    return torch.maximum((steps[1:] - x).amax(-1), (x - steps[:-1]).amax(-1))
