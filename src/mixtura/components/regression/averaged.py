r"""Linear regressions whose effects are known up to a normal law: what variational Bayes expects of a row.

With effects of mean :math:`\beta` and covariance :math:`s^2 C`, the expected log-density of a row of design u is that
at the mean less :math:`\tfrac12 u^\top C u`: the further a row is from others, the less is known of its predictor.
"""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor

from ..base import Component, Labels
from ..statistics import Statistics
from .linear import LinearRegression

__all__ = ["AveragedRegression"]


@dataclass(frozen=True, eq=False, repr=False, init=False)
class AveragedRegression(LinearRegression):
    r"""Linear regressions less what doubt about their effects costs a row.

    Arguments:
        doubt: The matrices C about each component's own centre, with shape ``(*B, K, Q, Q)``.
    """

    doubt: Tensor

    @classmethod
    def of(cls, lines: LinearRegression, doubt: Tensor) -> AveragedRegression:
        """Returns these regressions with doubt about their effects."""
        return cls._of(**lines._fields(), doubt=doubt)

    @property
    def lines(self) -> LinearRegression:
        fields = {name: value for name, value in self._fields().items() if name != "doubt"}
        return LinearRegression._of(**fields)

    def log_prob(self, x: Tensor) -> Tensor:
        gap = self.explaining(x).unsqueeze(-2) - self.centre
        u = torch.cat([torch.ones_like(gap[..., :1]), gap], -1) if self.constant else gap
        return super().log_prob(x) - 0.5 * torch.einsum("...i,...ij,...j->...", u, self.doubt.to(u), u)

    def expect(self, logits: Tensor, x: Tensor, weight: Tensor | None, labels: Labels) -> Statistics:
        return Component.expect(self, logits, x, weight, labels)
