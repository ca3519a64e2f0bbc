r"""Methods of the one loop with scikit-learn's conventions.

Every update adds `reg_covar` to each variance and :math:`10\epsilon` rows to each component, and a run has converged
after a change of the objective, up or down, below `tol`:

- in `ChangeEM` the change is that of the mean log-likelihood *before* the last update, so one more update follows it;
- in `ChangeVariational` it is that of the bound on the log-evidence of all rows after the last update.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Self

import torch
from torch import Tensor

from ..components import Component, Statistics
from ..learning import EM, Posterior, Variational
from ..learning.loop.traces import Run, small_change
from ..mixture import Mixture, Prior
from ..priors import Ridge

__all__ = ["ChangeEM", "ChangeVariational"]


@dataclass(frozen=True)
class ChangeEM(EM):
    """Expectation maximisation that stops on a small change and adds a ridge.

    Arguments:
        before: The mean log-likelihood before the first iteration: that of the fit which a warm start continues.
    """

    before: float = -math.inf

    @classmethod
    def of(cls, max_iter: int, tol: float, reg_covar: float, dtype: torch.dtype, before: float) -> Self:
        """Builds the method from an estimator's parameters."""
        ridge = _ridge(reg_covar, dtype)
        return cls(max(1, max_iter), float(tol), Prior(concentration=1 + ridge.rows, components=ridge), before)

    def first(self, statistics: Statistics, centre: Component) -> Mixture:
        """Returns the mixture that sums about a centre imply."""
        return self.update(statistics, Mixture._of(torch.zeros(centre.batch_shape, dtype=centre.dtype), centre))

    def converged(self, one: Run, rounding: float) -> bool:
        """Judges the change of one iteration earlier, so that the update of the last iteration is kept."""
        return small_change([self.before, *one.trace[:-1]], self.tolerance)

    def objective(self, statistics: Statistics, state: Mixture) -> Tensor:
        """Returns the log-likelihood: a ridge is not a prior."""
        return statistics.log_likelihood


@dataclass(frozen=True)
class ChangeVariational(Variational):
    """Variational Bayes that stops on a small change of the bound and adds a ridge.

    Arguments:
        ridge: What every update adds.
        warm: Whether the run continues one whose bound is that of the start.
    """

    ridge: Ridge = Ridge(0.0)
    warm: bool = False
    monotone = False  # a ridge may let the bound fall

    @classmethod
    def of(cls, prior: Prior, max_iter: int, tol: float, reg_covar: float, dtype: torch.dtype, warm: bool) -> Self:
        """Builds the method from an estimator's parameters; ``tol`` is in nats per row."""
        return cls(prior, max(1, max_iter), float(tol), ridge=_ridge(reg_covar, dtype), warm=warm)

    def first(self, statistics: Statistics, centre: Component) -> Posterior:
        """Returns the posterior that sums about a centre imply."""
        return self._posterior(statistics, centre)

    def converged(self, one: Run, rounding: float) -> bool:
        """Judges the last change; that of the first update counts only where the start was itself a fit."""
        return len(one.trace) > (1 if self.warm else 2) and small_change(one.trace, self.tolerance)

    def _posterior(self, statistics: Statistics, centre: Component) -> Posterior:
        weight, shift, scatter, _ = self.ridge.add(centre.gaussian_law, statistics.weight, *statistics.moments)
        return super()._posterior(Statistics(statistics.log_likelihood, weight, (shift, scatter)), centre)


def _ridge(reg_covar: float, dtype: torch.dtype) -> Ridge:
    return Ridge(float(reg_covar), 10 * torch.finfo(dtype).eps)
