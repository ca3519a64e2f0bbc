r"""Annealed EM: responsibilities start flat and sharpen by and by (Ueda and Nakano, 1998).

The posterior of the labels is raised to a power :math:`\beta` that grows from a small number to one,

.. math:: r_{nk} \propto \big(\pi_k\, p_k(x_n)\big)^\beta .

At a small :math:`\beta` the objective is smooth and components lie together; as it grows they part, in the order in
which the data tell them apart. So the answer depends less on the start. In the end :math:`\beta = 1`, which is EM.

Components that learn their own covariances part only above :math:`\beta = 1`: where all of them lie together, a small
shift of one mean is multiplied by :math:`\beta` in each update. So the power rises a little above one before it ends
there (Naim and Gildea, 2012), and a little noise in the log joint keeps components from lying together exactly.
"""

from __future__ import annotations

from dataclasses import dataclass, replace

import torch
from torch import Generator, Tensor

from ...components import Labels
from ...components.special.keyed_draws import new_key, normal_of_rows
from ...errors import refuse
from ...kernels import Rule
from ..expectation.labels import Tempered, soft
from ..expectation.sampled_labels import OfRows, row_numbers
from ..loop.traces import Run
from .em import EM

__all__ = ["AnnealedEM", "Noisy"]


@dataclass(frozen=True)
class AnnealedEM(EM):
    r"""Expectation maximisation with a rising power of the responsibilities.

    Arguments:
        max_iterations: The largest number of updates, those with :math:`\beta < 1` included.
        tolerance: The gain still to come at :math:`\beta = 1`, in nats per row.
        prior: A conjugate prior; none by default.
        beta: The power at the start, in (0, 1]; 1 is plain EM.
        rate: The factor by which it grows.
        peak: The power that it may reach before it becomes one.
        steps: The number of updates at each power.
        generator: The source of the noise; that of `fit` if none is given.

    Example:
        >>> fit = mx.fit(mx.datasets.old_faithful(), components=2, method=mx.AnnealedEM())
        >>> round(fit.log_likelihood, 2)
        -1130.26
    """

    beta: float = 0.3
    rate: float = 1.1
    peak: float = 1.3
    steps: int = 5
    generator: Generator | None = None

    races = False
    restarts = 4

    def __post_init__(self) -> None:
        super().__post_init__()
        if not 0 < self.beta <= max(1, self.peak):
            refuse("beta", "above 0 and at most 1", self.beta)
        if not self.rate > 1:
            refuse("rate", "above 1", self.rate)
        if not self.steps >= 1:
            refuse("steps", "at least 1", self.steps)

    @property
    def labels(self) -> Labels:
        return soft if self.beta == 1 else Noisy(self.beta, 0.1, self.generator)

    def seeded(self, generator: Generator | None) -> AnnealedEM:
        return self if self.generator is not None else replace(self, generator=generator)

    def repeated(self, generator: Generator | None) -> AnnealedEM:
        return self if generator is None else replace(self, generator=generator)

    @property
    def monotone(self) -> bool:  # type: ignore[override]
        return self.beta == 1 and super().monotone

    def at(self, iteration: int) -> AnnealedEM:
        beta = self.beta * self.rate ** (iteration // self.steps)
        return replace(self, beta=beta if beta <= self.peak and self.beta < 1 else 1.0)

    def converged(self, one: Run, rounding: float) -> bool:
        return self.beta == 1 and super().converged(one, rounding)


@dataclass(frozen=True)
class Noisy(Rule):
    """Tempered labels of log joints with normal noise of so many nats."""

    beta: float
    noise: float
    generator: Generator | None
    by_row = False

    def settled(self) -> _NoisyRows:
        return _NoisyRows(torch.arange(0), self.beta, self.noise, new_key(self.generator))

    def __call__(self, log_joint: Tensor) -> Tensor:
        return self.settled().for_rows(row_numbers(log_joint))(log_joint)


@dataclass(frozen=True, eq=False)
class _NoisyRows(OfRows):
    beta: float
    noise: float
    key: int

    def __call__(self, log_joint: Tensor) -> Tensor:
        drawn = normal_of_rows(self.key, self.numbers, log_joint.shape[1:], log_joint.dtype)
        return Tempered(self.beta)(log_joint.add(drawn, alpha=self.noise))
