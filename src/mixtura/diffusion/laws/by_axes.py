r"""Rows in the axes of all components: two products of matrices for all of them together, :math:`4NKD^2` flops.

In the axes :math:`Q_k` of :math:`\Sigma_k`, with variances :math:`\lambda_k` along them and
:math:`s = \alpha^2\lambda + \sigma^2`, rows are whitened,

.. math:: z_k = s_k^{-1/2}\,(Q_k^\top x - \alpha Q_k^\top\mu_k), \qquad
    \log r_k = \log w_k - \tfrac12\sum_d \log s_{kd} - \tfrac12 |z_k|^2 + \dots,

and everything else is a turn back. Nothing cancels, at any ratio of signal to noise:

.. math:: m_k = \mu_k + Q_k\,\frac{\alpha\lambda_k}{s_k^{1/2}}\,z_k, \qquad
    C_k = Q_k\,\frac{\sigma^2\lambda_k}{s_k}\,Q_k^\top, \qquad
    \nabla\log p_t = -\sum_k Q_k\,s_k^{-1/2}\,(r_k z_k) .

Means and scores of many rows, where each component has axes of its own, are one compiled pass, `kernels.pulls`; what
asks more of a row has its parts in torch.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from functools import cached_property
from operator import attrgetter

import torch
from torch import Tensor

from ...components.route import Route
from ...kernels.pulls import Pulls, pulled, worth_pulling
from ...mixture import Mixture
from .by_means import ByMeans
from .order import Order, Part, at_a_time, telling, together

__all__ = ["ByAxes"]

Turn = Callable[[Tensor], Tensor]

_SMALL = 2**20  # numbers of the axes of which a copy is nothing beside the products with rows
_FEW = 8  # features up to which sums of matrices cost less than a row turned into all axes


class ByAxes(Order):
    """One mixture whose axes are at hand, at one time: each component has its own, or all have the same."""

    def __init__(self, mixture: Mixture) -> None:
        super().__init__(mixture)
        gaussian = mixture.components.gaussian
        self.location = gaussian.location
        self.axes, self.spectrum = gaussian.structure.in_own_axes(gaussian.features)
        self.stack = self.axes.mT.flatten(0, 1).mT  # (D, K D)
        self.place = (self.axes.mT @ self.location.unsqueeze(-1)).contiguous()  # (K, D, 1)

    @property
    def folds(self) -> bool:
        """Whether numbers along the axes go into copies of these, which are small, and not into columns."""
        return len(self.axes) > 1 and self.axes.numel() <= _SMALL

    def turned(self, rows: Tensor) -> Tensor:
        """Returns vectors in each component's axes, as columns ``(K or 1, D, n)``."""
        return (self.stack.mT @ rows.mT).unflatten(0, self.axes.shape[::2])

    def turn_back(self, along: Tensor) -> Turn:
        """Returns what takes columns ``(K, D, n)`` times numbers along the axes to sums over components, as rows."""
        if self.folds:
            matrix = self.stack * along.flatten()
            return lambda columns: (matrix @ columns.flatten(0, 1)).mT
        return lambda columns: self.back(columns * along.unsqueeze(-1))

    def back(self, columns: Tensor) -> Tensor:
        """Returns the sums over components of columns in their axes, as rows."""
        return (self.stack @ (columns.sum(0) if len(self.axes) == 1 else columns.flatten(0, 1))).mT

    def parts(self, alpha: Tensor, variance: Tensor, rows: Tensor) -> Iterator[Part]:
        if alpha.ndim:
            return ByMeans(self.mixture).parts(alpha, variance, rows)
        return self._parts(alpha, variance, rows)

    def mean(self, alpha: Tensor, variance: Tensor, rows: Tensor) -> Tensor:
        flat = self.flat(alpha, rows)
        if not self.fuses(alpha, variance, flat):
            return super().mean(alpha, variance, rows)
        return pulled(_Time(self, alpha, variance).cleaning, flat).reshape(rows.shape)

    def score(self, alpha: Tensor, variance: Tensor, rows: Tensor) -> Tensor:
        if alpha.ndim:
            return super().score(alpha, variance, rows)
        flat = self.flat(alpha, rows)
        if not self.fuses(alpha, variance, flat):
            return together(map(attrgetter("score"), self._parts(alpha, variance, flat)), rows)
        return pulled(_Time(self, alpha, variance).pulling, flat).reshape(rows.shape)

    def fuses(self, alpha: Tensor, variance: Tensor, rows: Tensor) -> bool:
        """Whether one compiled pass answers for rows ``(N, D)`` at one time: components with axes of their own."""
        if alpha.ndim or not self.folds or not worth_pulling(rows, len(self.axes)):
            return False
        mixture = self.mixture
        return mixture.components.gaussian.route(rows, mixture.logits, alpha, variance) is Route.PASS

    def _parts(self, alpha: Tensor, variance: Tensor, rows: Tensor) -> Iterator[_Rows]:
        time, kind = _Time(self, alpha, variance), _Rows if self.location.shape[-1] > _FEW else _FewFeatures
        return (kind(time, some) for some in at_a_time(rows, self.location.numel()))


class _Time:
    """What a time makes of the axes. Rows in them are columns, ``(K or 1, D, n)``, and numbers along them ``(K or 1,
    D)``."""

    def __init__(self, order: ByAxes, alpha: Tensor, variance: Tensor) -> None:
        self.order, self.noise, spectrum = order, variance, order.spectrum
        self.scale = torch.rsqrt(alpha**2 * spectrum + variance)
        self.stretch = alpha * spectrum * self.scale  # from whitened residuals to those of the clean draw
        self.within = variance * spectrum * self.scale.square()
        self.place = alpha * order.place * self.scale.unsqueeze(-1)
        self.logits = order.mixture.logits + self.scale.log().sum(-1)

    @cached_property
    def maps(self) -> tuple[Tensor, Tensor]:
        """The components' means as functions of the noisy draw: offsets ``(K, D)`` and matrices ``(K, D, D)``."""
        axes, left = self.order.axes, (self.noise * self.scale.square()).unsqueeze(-1)
        kept = (axes @ (self.order.place * left)).squeeze(-1)
        gain = (axes * (self.stretch * self.scale).unsqueeze(-2)) @ axes.mT
        return kept, gain.expand(*kept.shape, -1)

    @property
    def cleaning(self) -> Pulls:
        """What the pass does for the means of the clean draws."""
        return self._pulls(self.stretch, self.order.location)

    @property
    def pulling(self) -> Pulls:
        """What the pass does for the score."""
        return self._pulls(-self.scale, torch.zeros_like(self.order.location))

    def _pulls(self, along: Tensor, kept: Tensor) -> Pulls:
        axes, scale = self.order.axes, self.scale.unsqueeze(-1)
        return Pulls(axes.mT * scale, -self.place.squeeze(-1), self.logits, axes * along.unsqueeze(-2), kept)

    @cached_property
    def clean(self) -> Turn:
        """From whitened residuals to those of the clean draw."""
        return self.order.turn_back(self.stretch)

    @cached_property
    def pull(self) -> Turn:
        """From whitened residuals to the score."""
        return self.order.turn_back(-self.scale)

    @cached_property
    def whitened(self) -> Turn:
        """From rows to whitened residuals from each component."""
        order, scale, place = self.order, self.scale.unsqueeze(-1), -self.place
        if not order.folds:
            return lambda rows: torch.addcmul(place, order.turned(rows), scale)
        maps = torch.cat([(order.axes.mT * scale).flatten(0, 1), place.flatten(0, 1)], 1)  # of rows with a 1 behind
        return lambda rows: (maps @ torch.nn.functional.pad(rows, (0, 1), value=1.0).mT).unflatten(0, scale.shape[:2])


class _Rows(Part):
    def __init__(self, time: _Time, rows: Tensor) -> None:
        self.time, self.white = time, time.whitened(rows)
        self.joint = (time.logits.unsqueeze(-1) - 0.5 * self.white.square().sum(-2)).mT

    @cached_property
    def share(self) -> Tensor:
        return telling(torch.softmax(self.joint.mT, 0)).mT

    @property
    def score(self) -> Tensor:
        """The gradients of the log-density of the noisy rows."""
        return self.time.pull(_weighed(self.white, self.share))

    @property
    def covariance(self) -> Callable[[Tensor], Tensor]:
        time, share = self.time, self.share
        order, means = time.order, time.order.place + self.white * time.stretch.unsqueeze(-1)
        mean = order.back(_weighed(means, share))  # made of the same numbers, so that far rows lose no more

        def times(vector: Tensor) -> Tensor:
            turned = order.turned(vector)
            pull = share * ((means * turned).sum(-2).mT - (vector * mean).sum(-1, keepdim=True))
            moved = _weighed(time.within.unsqueeze(-1) * turned, share) + _weighed(means, pull)
            return order.back(moved) - pull.sum(-1, keepdim=True) * mean

        return times

    def average(self, weight: Tensor) -> Tensor:
        return weight @ self.time.order.location + self.time.clean(_weighed(self.white, weight))

    def draws(self, weight: Tensor, noise: Tensor) -> Tensor:
        time = self.time
        each = self.white * time.stretch.unsqueeze(-1) + time.within.sqrt().unsqueeze(-1) * noise.mT
        return weight @ time.order.location + time.order.back(_weighed(each, weight))

    def images(self, matrix: Tensor) -> Tensor:
        turned = self.time.order.turned(matrix) * self.time.stretch.unsqueeze(-1)  # (K or 1, D, M)
        return (self.time.order.location @ matrix.mT + (self.white.mT @ turned).movedim(1, 0)).contiguous()

    def crossed(self, matrix: Tensor) -> Tensor:
        turned = (self.time.order.turned(matrix) * self.time.within.unsqueeze(-1)).mT
        return (turned @ self.time.order.axes.mT).expand(len(self.time.order.location), -1, -1)


class _FewFeatures(_Rows):
    """Sums of the components' own maps from the noisy to the clean draw, which are fewer numbers than rows turned."""

    def __init__(self, time: _Time, rows: Tensor) -> None:
        super().__init__(time, rows)
        self.rows = rows

    def average(self, weight: Tensor) -> Tensor:
        kept, gain = self.time.maps
        found = torch.cat([kept, gain.flatten(1)], 1).mT @ weight.mT
        features = kept.shape[-1]
        return (found[:features] + (found[features:].unflatten(0, (features, features)) * self.rows.mT).sum(1)).mT


def _weighed(columns: Tensor, weight: Tensor) -> Tensor:
    """Columns ``(K or 1, D, n)`` times weights ``(n, K)``."""
    return columns * weight.mT.unsqueeze(-2)
