r"""The bootstrap likelihood-ratio test for the number of components (McLachlan, 1987).

Between K and K + 1 components the statistic :math:`2(\ell_{K+1} - \ell_K)` has no chi-squared law, since the smaller
model lies on the boundary of the larger. So its law is simulated: rows are drawn from the mixture of K components, both
are fitted to them, and the p-value is the share of statistics, the observed one among them, that are as large.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import torch
from torch import Generator, Tensor

from ...data import Rows
from ...errors import refuse
from ..expectation.recorded import recorded
from ..families import asked_of
from ..fit import fit
from .simulate import simulated

__all__ = ["LikelihoodRatio", "likelihood_ratio_test"]


@dataclass(frozen=True, eq=False)
class LikelihoodRatio:
    """The outcome of a bootstrap likelihood-ratio test.

    Arguments:
        components: The number of components under the hypothesis; the alternative has one more.
        statistic: Twice the gain in log-likelihood, in nats.
        replicates: The statistics of the simulated data sets.
    """

    components: int
    statistic: float
    replicates: Tensor

    @property
    def p_value(self) -> float:
        """The probability of a statistic as large, were the hypothesis true."""
        return (1 + int((self.replicates >= self.statistic).sum())) / (1 + len(self.replicates))


def likelihood_ratio_test(
    x: Any,
    components: int,
    replicates: int = 99,
    columns: Any = None,
    sample_weight: Any = None,
    observation: Any = None,
    generator: Generator | None = None,
    **options: Any,
) -> LikelihoodRatio:
    """Tests K components against K + 1.

    Arguments:
        x: The rows, in any form that `fit` takes.
        components: The number K of components under the hypothesis.
        replicates: The number of simulated data sets; with 19 the smallest p-value is 0.05, with 99 it is 0.01.
        columns: Which columns of a table.
        sample_weight: How much each row counts; simulated rows count as much.
        observation: How the rows were recorded, as in `fit`; simulated rows are recorded the same way.
        generator: The source of randomness.
        options: Anything else that `fit` takes, such as ``covariance=`` or ``restarts=``.

    Raises:
        MixtureError: If ``replicates`` is below 1, or a fit is refused.

    Example:
        >>> generator = torch.Generator().manual_seed(0)
        >>> x = mx.datasets.old_faithful()[:, 0]
        >>> mx.likelihood_ratio_test(x, 1, replicates=19, restarts=2, generator=generator).p_value
        0.05
    """
    if not replicates >= 1:
        refuse("replicates", "at least 1", replicates)
    rows = recorded(x, asked_of(options, x, columns), sample_weight, observation)
    options = {**options, "generator": generator}
    smaller = fit(rows, components, **options)
    statistic = 2 * (fit(rows, components + 1, **options).log_likelihood - smaller.log_likelihood)
    drawn = [_statistic(simulated(smaller.mixture, rows, generator), components, options) for _ in range(replicates)]
    return LikelihoodRatio(components, statistic, torch.tensor(drawn, dtype=torch.float64))


def _statistic(rows: Rows, components: int, options: dict[str, Any]) -> float:
    smaller, larger = (fit(rows, k, **options).log_likelihood for k in (components, components + 1))
    return 2 * (larger - smaller)
