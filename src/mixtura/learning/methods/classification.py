r"""Classification EM: maximum likelihood of the labels as well (Celeux and Govaert, 1992).

Each row goes wholly to its most probable component, and the objective is the classification likelihood

.. math:: \ell_C = \sum_n w_n \log \max_k \pi_k\, p_k(x_n),

which neither step can lower. Through an observation :math:`p_k` is the density of what was recorded, and the update is
a step of EM for the rows of each component. K-means is the case of equal weights and one shared spherical variance. It
needs few iterations and separates groups sharply; its estimates of overlapping components are biased.
"""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor

from ...components import Labels, Statistics
from ...data import Block, Rows
from ...mixture import Mixture
from ..expectation.expect import block_size, log_joint
from ..expectation.labels import hard
from ..loop.traces import Run
from .em import EM

__all__ = ["ClassificationEM", "classification_likelihood"]


@dataclass(frozen=True)
class ClassificationEM(EM):
    """Expectation maximisation with hard labels.

    Arguments:
        max_iterations: The largest number of updates, at least 1.
        tolerance: The gain still to come, in nats per row, below which it has converged; 0 runs all iterations.
        prior: A conjugate prior; none by default.

    Example:
        >>> fit = mx.fit(mx.datasets.old_faithful(), components=2, method=mx.ClassificationEM())
        >>> fit.converged, fit.mixture.weights.max().round(decimals=2)
        (True, tensor(0.6400, dtype=torch.float64))
    """

    @property
    def labels(self) -> Labels:
        return hard

    def expect(self, state: Mixture, rows: Rows) -> Statistics:
        statistics = super().expect(state, rows)
        return Statistics(classification_likelihood(state, rows), statistics.weight, statistics.moments)

    def converged(self, one: Run, rounding: float) -> bool:
        """Gains come in jumps and end at zero where labels alone change, but shrink as EM's through an observation.

        Where rounding hides the tolerance, it hides how gains shrink, and those of many updates are judged together.
        """
        gained = one.trace[-1] - one.trace[-2] if len(one.trace) > 1 else float("inf")
        settled = self.monotone and gained <= rounding < self.tolerance
        return settled or super().converged(one, rounding)


@torch.no_grad()
def classification_likelihood(mixtures: Mixture, rows: Rows) -> Tensor:
    """Returns the classification log-likelihood of all rows in nats, for a batch of mixtures: shape ``(B,)``."""
    return rows.reduce(lambda block: _of_block(mixtures, block), block_size(rows))


def _of_block(mixtures: Mixture, block: Block) -> Tensor:
    best = (log_joint(mixtures, block).amax(-1) - block.observation.log_recorded(mixtures)).double()
    return best.sum(0) if block.weight is None else (best.mT * block.weight).sum(-1)
