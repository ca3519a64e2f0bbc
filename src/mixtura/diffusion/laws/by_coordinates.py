r"""Coordinates on their own: the sums over components come first, and per row nothing of size K D is made.

Gains and covariances are a number for each coordinate, :math:`m_k = h_k + g_k x` and :math:`C_k = \mathrm{diag}(c_k)`,

.. math:: \sum_k r_k C_k v = \Big(\sum_k r_k c_k\Big) v, \qquad m_k^\top v = h_k^\top v + g_k^\top(x v), \qquad
    \sum_k q_k m_k = \sum_k q_k h_k + \Big(\sum_k q_k g_k\Big) x,

with responsibilities from one fused pass, where there are many rows.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from functools import cached_property

from torch import Tensor

from ...components.route import Route
from ...mixture import Mixture
from .by_means import ByMeans
from .noised import noised
from .order import Order, Part, telling

__all__ = ["ByCoordinates"]


class ByCoordinates(Order):
    """One mixture of diagonal covariances, at one time."""

    def parts(self, alpha: Tensor, variance: Tensor, rows: Tensor) -> Iterator[Part]:
        if alpha.ndim:
            return ByMeans(self.mixture).parts(alpha, variance, rows)
        return iter((_Rows(self.mixture, noised(self.mixture, alpha, variance), alpha, variance, rows),))


class _Rows(Part):
    def __init__(self, mixture: Mixture, seen: Mixture, alpha: Tensor, variance: Tensor, rows: Tensor) -> None:
        gaussian = mixture.components.gaussian
        spread = gaussian.structure.variance(gaussian.features)
        whole = alpha.square() * spread + variance
        self.kept = gaussian.location * (variance / whole)
        self.gain, self.left = ((number * spread / whole).expand(self.kept.shape) for number in (alpha, variance))
        self.gaussian, self.logits, self.rows = seen.components.gaussian, seen.logits, rows

    @cached_property
    def joint(self) -> Tensor:  # type: ignore[override]
        return self.logits + self.gaussian.log_prob(self.rows)

    @cached_property
    def share(self) -> Tensor:
        if self.gaussian.route(self.rows, self.logits) is not Route.PASS:
            return super().share
        return telling(self.gaussian.responsibilities_pass(self.logits, self.rows))

    @property
    def covariance(self) -> Callable[[Tensor], Tensor]:
        return self._times

    def _times(self, vector: Tensor) -> Tensor:
        along = vector @ self.kept.mT + (vector * self.rows) @ self.gain.mT
        pull = self.share * (along - (vector * self.mean).sum(-1, keepdim=True))
        alone = (self.share @ self.left) * vector
        return alone + self.average(pull) - pull.sum(-1, keepdim=True) * self.mean

    def average(self, weight: Tensor) -> Tensor:
        return weight @ self.kept + (weight @ self.gain) * self.rows

    def draws(self, weight: Tensor, noise: Tensor) -> Tensor:
        return self.average(weight) + (weight @ self.left.sqrt()) * noise

    def images(self, matrix: Tensor) -> Tensor:
        gains = (self.gain.unsqueeze(-2) * matrix).flatten(0, 1)
        return self.kept @ matrix.mT + (self.rows @ gains.mT).unflatten(-1, (-1, len(matrix)))

    def crossed(self, matrix: Tensor) -> Tensor:
        return self.left.unsqueeze(-2) * matrix
