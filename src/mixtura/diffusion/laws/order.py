r"""The mean of the clean draw given the noisy one, :math:`E[x_0|x_t] = \sum_k r_k(x)\,(\mu_k + G_k(x - \alpha\mu_k))`.

:math:`G_k = \alpha\Sigma_k(\alpha^2\Sigma_k + \sigma^2 I)^{-1}`, and nothing cancels, at any ratio of signal to noise.
In the axes :math:`Q_k` of :math:`\Sigma_k`, with variances :math:`\lambda_k` along them,

.. math:: z_k = Q_k^\top x - \alpha Q_k^\top\mu_k, \qquad
    \log r_k = \log w_k - \tfrac12\sum_d\Big(\log s_{kd} + \frac{z_{kd}^2}{s_{kd}}\Big) + \dots, \qquad
    E = \sum_k r_k\mu_k + \sum_k Q_k\,\Big(r_k\,\frac{\alpha\lambda_k}{s_k}\,z_k\Big),
    \qquad s = \alpha^2\lambda + \sigma^2 :

two products of matrices for all components together, :math:`4NKD^2` flops, some rows at a time. For many rows of few
or separate coordinates the sums over components come first, :math:`\sum_k r_k(\mu_k - \alpha G_k\mu_k) + (\sum_k r_k
G_k)x`, with responsibilities from one fused pass: nothing of size N K D is made.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Callable

import torch
from torch import Tensor

from ...components.route import Route
from ...mixture import Mixture
from .earlier import Earlier

__all__ = ["Denoising", "Noised", "prepared"]

Noised = Callable[[Tensor, Tensor], Mixture]  # the law at a time, of its signal and variance

_SMALL = 8  # features up to which sums of matrices cost less than a row turned into all axes
_MANY = 2**13  # rows times components from which a pass is worth its making
_NUMBERS = 2**20  # of the turned rows that are held at a time: about what the cache keeps
_LEAST = 64  # rows at a time, for which a matrix is worth its reading


class Denoising(ABC):
    """What does not depend on the noisy draws, nor on the time, prepared once.

    Arguments:
        mixture: The law of the clean draw, in its own axes.
        noised: The law at a time.
    """

    def __init__(self, mixture: Mixture, noised: Noised) -> None:
        self.mixture, self.noised = mixture, noised

    @abstractmethod
    def mean(self, alpha: Tensor, variance: Tensor, rows: Tensor) -> Tensor:
        """Returns the mean of the clean draw for rows ``(*S, *T, *B, D)`` at times ``(*T)``, in their shape."""

    def score(self, alpha: Tensor, variance: Tensor, rows: Tensor) -> Tensor:
        """Returns the gradient of the log-density at such rows, by the law at the time unless axes are at hand."""
        seen = self.noised(alpha, variance)
        return seen.components.gaussian.mixture_score(seen.logits, rows)


def prepared(mixture: Mixture, noised: Noised) -> Denoising:
    """Returns the order of sums that serves a mixture."""
    structure = mixture.components.gaussian.structure
    if mixture.batch_shape or not structure.has_axes:
        return _ByMeasurement(mixture, noised)
    return (_Apart if structure.elementwise else _Turned)(mixture, noised)


class _ByMeasurement(Denoising):
    """Batches of mixtures, batches of times, and covariances whose axes are not at hand."""

    def mean(self, alpha: Tensor, variance: Tensor, rows: Tensor) -> Tensor:
        earlier = Earlier(self.mixture.components.gaussian, alpha, variance)
        inner = rows.ndim - earlier.location.ndim + 1
        parts = rows.reshape(-1, *rows.shape[inner:]).split(max(_LEAST, _NUMBERS // earlier.location.numel()))
        return torch.cat([earlier.mean(self.mixture.logits, part) for part in parts]).reshape(rows.shape)


class _InAxes(Denoising):
    """One mixture whose axes are at hand, at one time."""

    def __init__(self, mixture: Mixture, noised: Noised) -> None:
        super().__init__(mixture, noised)
        self.location, structure = mixture.components.gaussian.location, mixture.components.gaussian.structure
        self.axes, self.spectrum = structure.in_own_axes(self.location.shape[-1])
        self.any_times = _ByMeasurement(mixture, noised)

    def mean(self, alpha: Tensor, variance: Tensor, rows: Tensor) -> Tensor:
        if alpha.ndim:
            return self.any_times.mean(alpha, variance, rows)
        flat = rows.reshape(-1, rows.shape[-1])
        if self.sums_first and len(flat) * len(self.location) > _MANY:
            share = _telling(self.believed(alpha, variance, flat))
            return self.by_sums(alpha, variance, flat, share).reshape(rows.shape)
        return self.in_parts(lambda part: self.by_rows(alpha, variance, part), rows)

    def in_parts(self, function: Callable[[Tensor], Tensor], rows: Tensor) -> Tensor:
        """Returns what a function makes of rows ``(*S, D)``, as many at a time as stay in the cache."""
        parts = rows.reshape(-1, rows.shape[-1]).split(max(_LEAST, _NUMBERS // self.location.numel()))
        return torch.cat([function(part) for part in parts]).reshape(rows.shape)

    @property
    @abstractmethod
    def sums_first(self) -> bool:
        """Whether sums over components come first, for many rows."""

    @abstractmethod
    def by_sums(self, alpha: Tensor, variance: Tensor, rows: Tensor, share: Tensor) -> Tensor:
        """Returns the means of rows ``(N, D)`` of which the responsibilities ``(N, K)`` are known."""

    @abstractmethod
    def whitened(self, alpha: Tensor, scale: Tensor, rows: Tensor) -> Tensor:
        """Returns residuals in the components' axes times a scale ``(K or 1, D)``, as columns ``(K, D, N)``."""

    @abstractmethod
    def turned_back(self, gain: Tensor, columns: Tensor) -> Tensor:
        """Returns the sum over components of columns ``(K, D, N)`` times a gain along each axis, as rows ``(N, D)``."""

    def by_rows(self, alpha: Tensor, variance: Tensor, rows: Tensor) -> Tensor:
        """Returns the means of rows ``(N, D)`` by the module's second equation."""
        scale, white, share = self.weighed(alpha, variance, rows)
        pulled = self.turned_back(alpha * self.spectrum * scale, white * share.unsqueeze(-2))
        return share.mT @ self.location + pulled

    def weighed(self, alpha: Tensor, variance: Tensor, rows: Tensor) -> tuple[Tensor, Tensor, Tensor]:
        """Returns what whitens each axis, the whitened residuals ``(K, D, N)`` and responsibilities ``(K, N)``."""
        scale = torch.rsqrt(alpha**2 * self.spectrum + variance)
        white = self.whitened(alpha, scale, rows)
        joint = (self.mixture.logits + scale.log().sum(-1)).unsqueeze(-1) - 0.5 * white.square().sum(-2)
        return scale, white, _telling(torch.softmax(joint, 0))

    def believed(self, alpha: Tensor, variance: Tensor, rows: Tensor) -> Tensor:
        """Returns the responsibilities of rows ``(N, D)``."""
        seen = self.noised(alpha, variance)
        gaussian = seen.components.gaussian
        if gaussian.route(rows, seen.logits) is Route.PASS:
            return gaussian.responsibilities_pass(seen.logits, rows)
        return torch.softmax(seen.logits + gaussian.log_prob(rows), -1)


class _Apart(_InAxes):
    """Coordinates on their own: axes are those of the coordinates."""

    sums_first = True  # type: ignore[assignment]

    def by_sums(self, alpha: Tensor, variance: Tensor, rows: Tensor, share: Tensor) -> Tensor:
        whole = alpha**2 * self.spectrum + variance
        gain = (alpha * self.spectrum / whole).expand(self.location.shape)
        return share @ (self.location * (variance / whole)) + (share @ gain) * rows

    def whitened(self, alpha: Tensor, scale: Tensor, rows: Tensor) -> Tensor:
        return (rows.mT - alpha * self.location.unsqueeze(-1)) * scale.unsqueeze(-1)

    def turned_back(self, gain: Tensor, columns: Tensor) -> Tensor:
        return (columns * gain.unsqueeze(-1)).sum(0).mT


class _Turned(_InAxes):
    """Coordinates that go together: each component has axes of its own, or all have the same."""

    def __init__(self, mixture: Mixture, noised: Noised) -> None:
        super().__init__(mixture, noised)
        self.stack = self.axes.mT.flatten(0, 1).mT  # (D, K D)
        self.place = (self.axes.mT @ self.location.unsqueeze(-1)).contiguous()  # (K, D, 1)

    @property
    def sums_first(self) -> bool:
        return self.location.shape[-1] <= _SMALL

    def score(self, alpha: Tensor, variance: Tensor, rows: Tensor) -> Tensor:
        if alpha.ndim or self.sums_first:
            return super().score(alpha, variance, rows)
        return self.in_parts(lambda part: self._score(alpha, variance, part), rows)

    def _score(self, alpha: Tensor, variance: Tensor, rows: Tensor) -> Tensor:
        scale, white, share = self.weighed(alpha, variance, rows)
        return self.turned_back(-scale, white * share.unsqueeze(-2))

    def by_sums(self, alpha: Tensor, variance: Tensor, rows: Tensor, share: Tensor) -> Tensor:
        whole = (alpha**2 * self.spectrum + variance).unsqueeze(-1)
        kept = (self.axes @ (self.place * variance / whole)).squeeze(-1)
        gain = (self.axes * (alpha * self.spectrum.unsqueeze(-1) / whole).mT) @ self.axes.mT
        average = (share @ gain.expand(*kept.shape, -1).flatten(-2)).unflatten(-1, (rows.shape[-1], -1))
        return share @ kept + (average * rows.unsqueeze(-2)).sum(-1)

    def whitened(self, alpha: Tensor, scale: Tensor, rows: Tensor) -> Tensor:
        if not self.scaled_once(rows.mT):
            turned = (self.stack.mT @ rows.mT).unflatten(0, self.axes.shape[::2])
            return (turned - alpha * self.place) * scale.unsqueeze(-1)
        place = (alpha * self.place * scale.unsqueeze(-1)).flatten(0, 1)
        white = torch.addmm(place, (self.stack * scale.flatten()).mT, rows.mT, beta=-1)
        return white.unflatten(0, self.axes.shape[::2])

    def turned_back(self, gain: Tensor, columns: Tensor) -> Tensor:
        if self.scaled_once(columns):
            return ((self.stack * gain.flatten()) @ columns.flatten(0, 1)).mT
        scaled = columns * gain.unsqueeze(-1)
        return (self.stack @ (scaled.sum(0) if len(self.axes) == 1 else scaled.flatten(0, 1))).mT

    def scaled_once(self, columns: Tensor) -> bool:
        """Whether scales go into the axes, which are fewer numbers than so many columns."""
        return len(self.axes) > 1 and columns.shape[-1] > len(self.stack)


def _telling(share: Tensor) -> Tensor:
    """Responsibilities without those far below rounding: products with numbers near underflow take a hundred times."""
    return torch.nn.functional.threshold(share, torch.finfo(share.dtype).tiny ** 0.5, 0.0)
