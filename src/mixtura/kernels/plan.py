r"""What a pass over rows is to compute, as one value.

B counts restarts, which share every pass over the rows. The log joint of a row is
:math:`\log p_{nk} = a_k - \tfrac12 |W_k (x_n - \mu_k)|^2`, which an extra may change.
"""

from __future__ import annotations

from dataclasses import dataclass, replace

import torch
from torch import Tensor

from .extra import NOTHING, Extra
from .form import SPHERICAL, Form
from .labels import Labels, Rule, nearest, soft

__all__ = ["Plan"]


@dataclass(frozen=True, eq=False)
class Plan:
    r"""Components, and the rule that gives them rows.

    Attributes:
        form: The form of the covariances.
        mean: The means, (B, K, D).
        factor: The factors W of the inverse covariances, (B, K, ...) in the shape that the form says. With 1 in place
            of K they are tied: shared by all components.
        logits: The constants :math:`a_k`, (B, K): log weight plus log determinant of the factor minus
            :math:`\tfrac D2 \log 2\pi`. Minus infinity leaves a component out.
        labels: What turns log joints into responsibilities.
        extra: What a row's law has beyond a Gaussian: nothing, heavy tails or errors by row.
    """

    form: Form
    mean: Tensor
    factor: Tensor
    logits: Tensor
    labels: Labels = soft
    extra: Extra = NOTHING

    @classmethod
    def nearest(cls, mean: Tensor, labels: Labels = nearest) -> Plan:
        r"""K-means: rows go to the nearest of centres (B, K, D).

        The scatter is the sum of squared distances, (B, 1), and the log-likelihood minus half of it. Give a rule that
        remembers, `Remembered`, where the same rows are asked again and again.
        """
        return cls(SPHERICAL, mean, mean.new_ones(len(mean), 1), torch.zeros_like(mean[..., 0]), labels)

    @property
    def rule(self) -> Rule:
        """The labels rule, which says what it is."""
        return Rule.of(self.labels)

    @property
    def tied(self) -> bool:
        """Whether components share one factor."""
        return self.factor.shape[1] == 1

    @property
    def factors(self) -> Tensor:
        """A factor for each component, (B, K, ...), though they share one."""
        if not self.tied:
            return self.factor
        return self.factor.expand(-1, self.mean.shape[1], *(-1,) * (self.factor.ndim - 2))

    @property
    def restarts(self) -> int:
        """The number of restarts B."""
        return self.mean.shape[0]

    def work(self, rows: int) -> int:
        """Operations of a pass over so many rows, roughly: what sizes are compared by."""
        restarts, components, features = self.mean.shape
        return rows * restarts * components * (features * features + 10 * features + 20)

    def part(self, restarts: slice) -> Plan:
        """The plan of some restarts."""
        mean, factor, logits = (t[restarts] for t in (self.mean, self.factor, self.logits))
        return Plan(self.form, mean, factor, logits, self.labels, self.extra.part(restarts))

    def rows(self, rows: slice) -> Plan:
        """The plan for some of the rows."""
        return replace(self, labels=self.rule.take(rows), extra=self.extra.rows(rows))
