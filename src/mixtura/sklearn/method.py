r"""Expectation maximisation with scikit-learn's conventions, as a method of the one loop.

Every update adds `reg_covar` to each variance and :math:`10\epsilon` rows to each component. A run has converged after
the update that follows a change of the mean log-likelihood, up or down, below `tol`; the lower bound of an iteration is
the log-likelihood before its update.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Self

import torch
from torch import Tensor

from ..components import Statistics
from ..learning import EM, Prior, Ridge
from ..learning.loop import Run, small_change
from ..mixture import Mixture

__all__ = ["ChangeEM"]


@dataclass(frozen=True)
class ChangeEM(EM):
    """Expectation maximisation that stops on a small change and adds a ridge.

    Arguments:
        before: The mean log-likelihood before the first iteration: that of the fit which a warm start continues.
    """

    before: float = -math.inf

    @classmethod
    def of(cls, max_iter: int, tol: float, reg_covar: float, dtype: torch.dtype, before: float = -math.inf) -> Self:
        """Builds the method from an estimator's parameters."""
        rows = 10 * torch.finfo(dtype).eps
        prior = Prior(concentration=1 + rows, components=Ridge(float(reg_covar), rows))
        return cls(max(1, max_iter), float(tol), prior, before)

    def converged(self, one: Run, rounding: float) -> bool:
        """Judges the change of one iteration earlier, so that the update of the last iteration is kept."""
        return small_change([self.before, *one.trace[:-1]], self.tolerance)

    def objective(self, statistics: Statistics, state: Mixture) -> Tensor:
        """Returns the log-likelihood: a ridge is not a prior."""
        return statistics.log_likelihood
