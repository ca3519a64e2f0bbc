r"""Generalised linear regressions: targets whose natural parameter is the linear predictor.

.. math:: \log p_k(y | z) = y\, \eta_k - A(\eta_k) + h(y) .

With the design u, sums about the current effects are the slope :math:`g = \sum r (y - A') u` and the curvature
:math:`H = \sum r A'' u u^\top` of the expected log-likelihood, which is concave. An update is one step of Newton's
method, :math:`d = H^{-1} g`; repeated ones reach the maximum, as in iteratively reweighted least squares (McCullagh and
Nelder, 1989).

Far from it a step may lead too far. Both families here have :math:`|A'''| \le A''`, so over a step that changes no
row's predictor by more than :math:`\delta` the curvature grows by :math:`e^\delta` at most (Bach, 2010), and a share a
of Newton's step climbs where :math:`a\, e^{a \delta} < 2`. A bound on :math:`\delta` is
:math:`\sum_j |d_j| \max_n |u_{nj}|`, and the maximum, which is no sum, is a little less than
:math:`2.5\, (\sum_n r u_{nj}^{16} / N)^{1/16}` for up to :math:`10^6` rows.
"""

from __future__ import annotations

from abc import abstractmethod
from dataclasses import dataclass
from typing import Any, Self

import torch
from torch import Tensor

from ...kernels.regressions import RegressionSums
from ..base import Labels
from ..statistics import Statistics
from .regression import Regression
from .sums import pulls, solved, squares

__all__ = ["Generalised"]

_POWER, _ABOVE = 16, 2.5  # of the mean that stands for a maximum, and by how much it is less
_FAR = 5.0  # the most by which a step may change a predictor
_SURE, _NEAR = 0.5, 1.0  # the share of a step that is sure to climb, where it changes no predictor by more than so much


@dataclass(frozen=True, eq=False, repr=False, init=False)
class Generalised(Regression):
    """K generalised linear regressions, with batch shape ``(*B, K)``."""

    @abstractmethod
    def moments(self, x: Tensor, predictor: Tensor) -> tuple[Tensor, Tensor]:
        """Returns mean A' and variance A'' of the target at predictors ``(*S, *B, K)`` of rows ``(*S, *B, D)``."""

    @property
    def bold(self) -> bool:
        return True

    def statistics(self, x: Tensor, r: Tensor) -> tuple[Tensor, ...]:
        """Returns H ``(*B, K, Q, Q)``, g and sums of powers of u, ``(*B, K, Q)``, and what else a family sums."""
        own, rows = self.to(torch.float64), self._shared(x.double())
        return own._summed(x, rows, own.predictor(rows), r.double())

    def _expect_block(self, logits: Tensor, x: Tensor, weight: Tensor | None, labels: Labels) -> Statistics:
        own, rows = self.to(torch.float64), self._shared(x.double())
        predictor = own.predictor(rows)
        log_likelihood, r = self._believed(
            logits + own.density(rows, rows[..., self.target], predictor), x, weight, labels
        )
        return Statistics(log_likelihood, r.sum(0), own._summed(x, rows, predictor, r))

    def _summed(self, x: Tensor, rows: Tensor, predictor: Tensor, r: Tensor) -> tuple[Tensor, ...]:
        u = self.designed(x)
        mean, variance = self.moments(rows, predictor)
        left = r * (rows[..., self.target].unsqueeze(-1) - mean)
        every = squares(u, torch.stack([r * variance, *self.further(r, rows)], -1)).unbind(-3)
        curvature, *more = map(self.about_centres, every)
        return curvature, self.pulled(pulls(u, left)), pulls(_powers(u), r), *more

    def moments_of(self, found: RegressionSums) -> tuple[Tensor, ...]:
        return self.about_centres(found.gram), self.pulled(found.pull), found.powers

    def further(self, r: Tensor, rows: Tensor) -> tuple[Tensor, ...]:
        """Returns the weights ``(N, *B, K)`` of other sums of u u' for rows ``(N, ..., D)``: mostly none."""
        return ()

    @property
    def sums_add(self) -> bool:
        return True

    def sums_units(self, statistics: Statistics) -> tuple[Tensor, ...]:
        axis = len(self.batch_shape) - 1
        curvature, _, powers, *more = (moment.abs().mean(axis, keepdim=True) for moment in statistics.moments)
        slow = curvature.diagonal(dim1=-2, dim2=-1).sqrt()
        slope = slow * statistics.weight.mean(axis)[..., None, None].sqrt()
        return slow.unsqueeze(-1) * slow.unsqueeze(-2), slope, powers, *more

    def restated(self, statistics: Statistics, old: Self) -> Statistics:
        """The slope about other effects, as far as the curvature tells."""
        curvature, slope, *more = statistics.moments
        gap = (old.effect.double() - self.effect.double()).unsqueeze(-1)
        moments = curvature, slope + (curvature @ gap).squeeze(-1), *more
        return Statistics(statistics.log_likelihood, statistics.weight, moments)

    def update(self, statistics: Statistics, prior: Any = None) -> Self:
        step, far = self._newton(statistics, prior)
        return self._stepped(step * (_FAR / far).clamp_max(1.0).unsqueeze(-1))

    def cautious(self, statistics: Statistics, prior: Any = None) -> Self:
        step, far = self._newton(statistics, prior)
        return self._stepped(step * (_NEAR / far).clamp_max(_SURE).unsqueeze(-1))

    def _newton(self, statistics: Statistics, prior: Any) -> tuple[Tensor, Tensor]:
        """Newton's step ``(*B, K, Q)``, and a bound on what it changes of a predictor ``(*B, K)``."""
        curvature, slope, powers, *more = statistics.moments
        if prior is not None:
            curvature, slope = prior.penalised(self, curvature, slope)
        step = solved(curvature, slope)
        step = step.where(~self.certain(statistics.weight, curvature, *more).unsqueeze(-1), torch.nan)
        reach = _ABOVE * (powers / statistics.weight.unsqueeze(-1)) ** (1 / _POWER)
        return step, (step.abs() * reach).sum(-1).clamp_min(torch.finfo(step.dtype).tiny)

    def certain(self, weight: Tensor, curvature: Tensor, *further: Tensor) -> Tensor:
        """Tells which components, ``(*B, K)``, leave no doubt along some direction, so that effects grow for ever."""
        return torch.zeros_like(weight, dtype=torch.bool)

    def _stepped(self, step: Tensor) -> Self:
        return self._replace(effect=(self.effect.double() + step).to(self.dtype))


def _powers(u: Tensor) -> Tensor:
    """The sixteenth powers."""
    return u.square().square().square().square()
