r"""Logistic regression of successes in trials.

.. math:: \log p_k(y | z) = \log\binom ny + y\, \eta_k - n \log(1 + e^{\eta_k}) .

Where a component's successes and failures lie apart along some direction of the covariates there is no most likely
effect: it grows for ever, and tells less and less of any row. That is a collapse. With H the curvature, G the sums of
:math:`r\, n\, u u^\top` and N the weight, :math:`N \min_d d^\top H d / d^\top G d` is the number of trials that leave
any doubt along the direction that is surest; the component has collapsed where it is less than :math:`10^{-3}`, or than
:math:`10^{-6} N`. A prior on the coefficients bounds them.
"""

from __future__ import annotations

from dataclasses import dataclass, replace

import torch
from torch import Generator, Tensor
from torch.distributions import constraints

from ...errors import NotClosedForm, refuse
from ...kernels.regressions import Given, RegressionLaw, RegressionSums
from ..base import Component
from ..binomial import Bernoulli, Binomial
from ..domains import trials as successes
from .generalised import Generalised
from .sums import curved

__all__ = ["LogisticRegression"]

_NO_DOUBT, _HARDLY = 1e-3, 1e-6  # trials, and of their share


@dataclass(frozen=True, eq=False, repr=False, init=False)
class LogisticRegression(Generalised):
    r"""K logistic regressions of successes in one column of a row on the others: the log-odds are linear.

    Arguments:
        intercept: The intercepts, with shape ``(*B, K)``; none for predictors through the origin.
        coefficients: The coefficients of the covariates, in the order of their columns, with shape ``(*B, K, P)``.
        target: The column of the successes; the last one by default.
        total_count: The number of trials of every row.
        trials: The column that says it of each row, if they differ.

    A fit takes ``family=mx.LogisticRegression`` or a template: ``target``, ``features`` and ``trials`` by number or
    name, ``total_count`` and ``intercept=False``. ``mixture.condition(covariates, values)`` is a mixture of `Bernoulli`
    or `Binomial` components for each row. Of single trials a mixture can only be learned where covariates repeat, or
    components differ a lot (Follmann and Lambert, 1991).

    Raises:
        MixtureError: If a shape does not fit, or a coefficient is not finite.

    Example:
        >>> odds = mx.LogisticRegression(torch.tensor([0.0]), torch.tensor([[1.0]]), total_count=4)
        >>> mx.Mixture(torch.ones(1), odds).condition([0], [0.0]).mean
        tensor(2.)
    """

    total_count: int
    trials: int | None
    compiled = RegressionLaw.LOGISTIC

    def __init__(
        self,
        intercept: Tensor | None,
        coefficients: Tensor,
        target: int = -1,
        *,
        total_count: int = 1,
        trials: int | None = None,
    ) -> None:
        if not total_count >= 1:
            refuse("total_count", "at least 1", total_count)
        width = coefficients.shape[-1] + 1 + (trials is not None)
        column = None if trials is None else trials % width
        self._seal(intercept, coefficients, target, total_count=total_count, trials=column)
        if self.trials == self.target:
            refuse("trials", "another column than the target", trials)

    @property
    def apart(self) -> tuple[int, ...]:
        return (self.target,) if self.trials is None else (self.target, self.trials)

    @property
    def width(self) -> int:
        return super().width + (self.trials is not None)

    @property
    def response(self) -> constraints.Constraint:  # type: ignore[override]
        """Where the target may lie: up to the number of trials, where all rows have the same."""
        return successes(self.total_count) if self.trials is None else constraints.nonnegative_integer

    def inside(self, x: Tensor) -> Tensor:
        return super().inside(x) & (x[..., self.target] <= self.trials_of(x).squeeze(-1))

    def trials_of(self, rows: Tensor) -> Tensor:
        one = rows[..., :1]
        return torch.full_like(one, self.total_count) if self.trials is None else rows[..., self.trials].unsqueeze(-1)

    def density(self, x: Tensor, y: Tensor, predictor: Tensor) -> Tensor:
        n, y = self.trials_of(x), y.unsqueeze(-1)
        ways = torch.lgamma(n + 1) - torch.lgamma(y + 1) - torch.lgamma((n - y).clamp_min(0) + 1)
        sure = torch.nn.functional.logsigmoid(predictor)  # torch's softplus cuts its tail off
        return ways + n * sure - (n - y) * predictor

    def law(self, x: Tensor, predictor: Tensor) -> Component:
        trials = self.trials_of(x)
        count, probs = int(trials.flatten()[0]), torch.sigmoid(predictor)
        if not bool((trials == count).all()):
            raise NotClosedForm("Binomial components have one number of trials: give values in groups of the same.")
        return Bernoulli(probs) if count == 1 else Binomial(count, probs)

    def drawn_again(self, x: Tensor, labels: Tensor, generator: Generator | None = None) -> Tensor:
        probs = torch.sigmoid(self.predictor(x).gather(-1, labels.unsqueeze(-1)))
        return self.with_targets(x, torch.binomial(self.trials_of(x), probs, generator=generator))

    def moments(self, x: Tensor, predictor: Tensor) -> tuple[Tensor, Tensor]:
        p = torch.sigmoid(predictor)
        mean = self.trials_of(x) * p
        return mean, mean * (1 - p)

    def given(self, law: RegressionLaw, logits: Tensor) -> Given:
        return replace(super().given(law, logits), trials=self.trials, total_count=self.total_count)

    def moments_of(self, found: RegressionSums) -> tuple[Tensor, ...]:
        return *super().moments_of(found), self.about_centres(found.by_trials)

    def further(self, r: Tensor, rows: Tensor) -> tuple[Tensor, ...]:
        """Returns the weights of G, r n."""
        return (r * self.trials_of(rows),)

    def certain(self, weight: Tensor, curvature: Tensor, *further: Tensor) -> Tensor:
        sure = torch.maximum(_HARDLY * weight, torch.full_like(weight, _NO_DOUBT))
        return weight * curved(further[0], curvature) < sure
