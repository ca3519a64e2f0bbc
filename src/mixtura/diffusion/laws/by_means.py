r"""Every structure and batch, by the laws of the clean draw for each component: :math:`m_k` is made for each row.

Sums of means are taken about the mean of all, :math:`m_k - E`, so that no origin matters.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from functools import cached_property

from torch import Tensor

from .earlier import Earlier
from .order import Order, Part, at_a_time

__all__ = ["ByMeans"]


class ByMeans(Order):
    """Batches of mixtures, batches of times, and covariances whose axes are not at hand."""

    def parts(self, alpha: Tensor, variance: Tensor, rows: Tensor) -> Iterator[Part]:
        earlier = Earlier(self.mixture.components.gaussian, alpha, variance)
        return (_Rows(earlier, self.mixture.logits, some) for some in at_a_time(rows, earlier.location.numel()))


class _Rows(Part):
    def __init__(self, earlier: Earlier, logits: Tensor, rows: Tensor) -> None:
        evidence, self.means = earlier.means(rows)
        self.earlier, self.joint = earlier, logits + evidence

    @cached_property
    def mean(self) -> Tensor:
        return (self.share.unsqueeze(-2) @ self.means).squeeze(-2)

    @property
    def apart(self) -> Tensor:
        return self.means - self.mean.unsqueeze(-2)

    @property
    def covariance(self) -> Callable[[Tensor], Tensor]:
        share, apart, within = self.share.unsqueeze(-2), self.apart, self.earlier.within

        def times(vector: Tensor) -> Tensor:
            pull = share * (apart @ vector.unsqueeze(-1)).mT
            return (share @ within(vector) + pull @ apart).squeeze(-2)

        return times

    def average(self, weight: Tensor) -> Tensor:
        return (weight.unsqueeze(-2) @ self.apart).squeeze(-2) + weight.sum(-1, keepdim=True) * self.mean

    def draws(self, weight: Tensor, noise: Tensor) -> Tensor:
        each = self.means + self.earlier.structure.color(noise.unsqueeze(-2).expand(self.means.shape))
        return (weight.unsqueeze(-2) @ each).squeeze(-2)

    def images(self, matrix: Tensor) -> Tensor:
        return self.means @ matrix.mT

    def crossed(self, matrix: Tensor) -> Tensor:
        return self.earlier.within(matrix).movedim(0, -2)
