r"""The covariance of the clean draw given the noisy one, times vectors.

With responsibilities :math:`r_k`, means :math:`m_k` and covariances :math:`C_k` of :math:`p(x_0|x_t)` by component,

.. math:: \mathrm{Cov}[x_0|x_t]\,v = \sum_k r_k C_k v + \sum_k q_k (m_k - E), \qquad
    q_k = r_k\,(m_k - E)^\top v, \qquad E = \sum_k r_k m_k,

and no matrix of D × D numbers is made for a row. Where coordinates are on their own, means are :math:`h_k + g_k x` and
the sums over components come first,

.. math:: \sum_k r_k C_k v = \Big(\sum_k r_k c_k\Big) v, \qquad m_k^\top v = h_k^\top v + g_k^\top(x v), \qquad
    \sum_k q_k m_k = \sum_k q_k h_k + \Big(\sum_k q_k g_k\Big) x,

so that per row nothing of size K D is made. Where axes are at hand, rows and vectors are turned into those of all
components by one product, and back by another, some rows at a time. Other structures multiply for themselves.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Callable
from typing import TYPE_CHECKING

import torch
from torch import Tensor

from ...components import Gaussian
from .earlier import Earlier

if TYPE_CHECKING:
    from ...mixture import Mixture

__all__ = ["Part", "moments", "parts"]

_NUMBERS = 2**17  # of the components' means that are worked on at a time: as many as a cache holds


class Part(ABC):
    """Some rows of one mixture and :math:`p(x_0|x_t)` of each, by component.

    ``mean`` is E, ``(n, D)``, and ``joint`` the log responsibilities up to a constant, ``(n, K)``.
    """

    mean: Tensor
    joint: Tensor

    @abstractmethod
    def times(self, vector: Tensor) -> Tensor:
        """Returns the covariances times one vector for each row."""

    @abstractmethod
    def average(self, weight: Tensor) -> Tensor:
        """Returns the sums of the components' means under weights ``(n, K)``."""

    @abstractmethod
    def colored(self, weight: Tensor, noise: Tensor) -> Tensor:
        """Returns the sums of roots of the components' covariances under weights ``(n, K)``, times noise ``(n, D)``."""

    @abstractmethod
    def images(self, matrix: Tensor) -> Tensor:
        """Returns the components' means seen through a matrix ``(M, D)``: ``(n, K, M)``."""

    @abstractmethod
    def crossed(self, matrix: Tensor) -> Tensor:
        """Returns the components' covariances, which all rows share, times the matrix's rows: ``(K, M, D)``."""


def moments(
    mixture: Mixture, seen: Mixture, alpha: Tensor, variance: Tensor, rows: Tensor
) -> tuple[Tensor, Callable[[Tensor], Tensor]]:
    """Returns the mean of the clean draw for rows ``(*S, *B, D)``, and what multiplies by its covariance.

    Arguments:
        mixture: The law of the clean draw, of batch shape B.
        seen: The law of the noisy draw.
        alpha: The signal at a time, without dimensions.
        variance: The noise's, likewise.
        rows: The noisy draws.
    """
    outer = rows.ndim - len(mixture.batch_shape) - 1
    flat = rows.reshape(-1, *rows.shape[outer:])
    found = parts(mixture, seen, alpha, variance, flat)
    sizes = [len(part.mean) for part in found]

    def times(vectors: Tensor) -> Tensor:
        several = vectors.reshape(-1, *flat.shape)
        products = [
            torch.cat([part.times(some) for part, some in zip(found, one.split(sizes), strict=True)]) for one in several
        ]
        return torch.stack(products).reshape(vectors.shape)

    return torch.cat([part.mean for part in found]).reshape(rows.shape), times


def parts(mixture: Mixture, seen: Mixture, alpha: Tensor, variance: Tensor, rows: Tensor) -> list[Part]:
    """Returns rows ``(N, *B, D)`` some at a time; the arguments are those of `moments`."""
    gaussian = mixture.components.gaussian
    split = rows.split(max(1, _NUMBERS // max(1, gaussian.location.numel())))
    if mixture.batch_shape or not gaussian.structure.has_axes:
        earlier = Earlier(gaussian, alpha, variance)
        return [_ByMeans(earlier, mixture.logits, some) for some in split]
    if gaussian.structure.elementwise:
        return [_ByCoordinates(gaussian, seen, alpha, variance, rows)]
    axes = _Axes(gaussian, mixture.logits, alpha, variance)
    return [_ByAxes(axes, some) for some in split]


class _ByCoordinates(Part):
    """Coordinates on their own: gains and covariances are a number for each."""

    def __init__(self, gaussian: Gaussian, seen: Mixture, alpha: Tensor, variance: Tensor, rows: Tensor) -> None:
        spread = gaussian.structure.variance(gaussian.features)
        whole = alpha.square() * spread + variance
        self.kept = gaussian.location * (variance / whole)
        self.gain = (alpha * spread / whole).expand(self.kept.shape)
        self.rows = rows
        self.joint = seen.logits + seen.components.gaussian.log_prob(rows)
        self.left = (variance * spread / whole).expand(self.kept.shape)
        self.share = torch.softmax(self.joint, -1)
        self.mean = self.average(self.share)

    def times(self, vector: Tensor) -> Tensor:
        along = vector @ self.kept.mT + (vector * self.rows) @ self.gain.mT
        pull = self.share * (along - (vector * self.mean).sum(-1, keepdim=True))
        alone = (self.share @ self.left) * vector
        return alone + self.average(pull) - pull.sum(-1, keepdim=True) * self.mean

    def average(self, weight: Tensor) -> Tensor:
        return weight @ self.kept + (weight @ self.gain) * self.rows

    def colored(self, weight: Tensor, noise: Tensor) -> Tensor:
        return (weight @ self.left.sqrt()) * noise

    def images(self, matrix: Tensor) -> Tensor:
        gains = (self.gain.unsqueeze(-2) * matrix).flatten(0, 1)
        return self.kept @ matrix.mT + (self.rows @ gains.mT).unflatten(-1, (-1, len(matrix)))

    def crossed(self, matrix: Tensor) -> Tensor:
        return self.left.unsqueeze(-2) * matrix


class _Axes:
    """The components' axes, and what a time makes of them."""

    def __init__(self, gaussian: Gaussian, logits: Tensor, alpha: Tensor, variance: Tensor) -> None:
        axes, spectrum = gaussian.structure.in_own_axes(gaussian.features)
        whole = alpha.square() * spectrum + variance
        self.axes, self.count, self.stack = axes, len(axes), axes.movedim(0, 1).flatten(-2)  # (D, K D)
        self.place = (axes.mT @ gaussian.location.unsqueeze(-1)).squeeze(-1)
        self.alpha, self.scale, self.gain = alpha, torch.rsqrt(whole), alpha * spectrum / whole
        self.within = variance * spectrum / whole
        self.joint = logits + self.scale.log().sum(-1)

    def turned(self, rows: Tensor) -> Tensor:
        """Rows ``(N, D)`` in each component's axes, ``(N, K or 1, D)``."""
        return (rows @ self.stack).unflatten(-1, (self.count, -1))

    def back(self, turned: Tensor) -> Tensor:
        """The sum over components of what stands in their axes, ``(N, K, D)``, as rows."""
        return (turned.sum(-2) if self.count == 1 else turned.flatten(-2)) @ self.stack.mT


class _ByAxes(Part):
    """Rows in the axes of all components."""

    def __init__(self, axes: _Axes, rows: Tensor) -> None:
        gap = axes.turned(rows) - axes.alpha * axes.place
        self.joint = axes.joint - 0.5 * (gap * axes.scale).square().sum(-1)
        self.axes, self.means = axes, axes.place + axes.gain * gap
        self.share = torch.softmax(self.joint, -1).unsqueeze(-1)
        self.mean = axes.back(self.share * self.means)

    def times(self, vector: Tensor) -> Tensor:
        turned = self.axes.turned(vector)
        along = (self.means * turned).sum(-1, keepdim=True) - (vector * self.mean).sum(-1)[:, None, None]
        pull = self.share * along
        moved = self.axes.back(self.share * self.axes.within * turned + pull * self.means)
        return moved - pull.sum(-2) * self.mean

    def average(self, weight: Tensor) -> Tensor:
        return self.axes.back(weight.unsqueeze(-1) * self.means)

    def colored(self, weight: Tensor, noise: Tensor) -> Tensor:
        return self.axes.back(weight.unsqueeze(-1) * self.axes.within.sqrt() * noise.unsqueeze(-2))

    def images(self, matrix: Tensor) -> Tensor:
        turned = self.axes.turned(matrix).movedim(0, -1)  # (K or 1, D, M)
        return (self.means.movedim(1, 0) @ turned).movedim(0, 1)

    def crossed(self, matrix: Tensor) -> Tensor:
        turned = self.axes.turned(matrix).movedim(0, -2) * self.axes.within.unsqueeze(-2)
        return (turned @ self.axes.axes.mT).expand(self.means.shape[1], -1, -1)


class _ByMeans(Part):
    """How far the means of the components are from the mean of all, for any structure and batch."""

    def __init__(self, earlier: Earlier, logits: Tensor, rows: Tensor) -> None:
        evidence, means = earlier.means(rows)
        self.joint = logits + evidence
        self.earlier, self.share = earlier, torch.softmax(self.joint, -1).unsqueeze(-2)
        mean = self.share @ means
        self.mean, self.apart = mean.squeeze(-2), means - mean

    def times(self, vector: Tensor) -> Tensor:
        pull = self.share * (self.apart @ vector.unsqueeze(-1)).mT
        return (self.share @ self.earlier.within(vector) + pull @ self.apart).squeeze(-2)

    def average(self, weight: Tensor) -> Tensor:
        return (weight.unsqueeze(-2) @ self.apart).squeeze(-2) + weight.sum(-1, keepdim=True) * self.mean

    def colored(self, weight: Tensor, noise: Tensor) -> Tensor:
        each = self.earlier.structure.color(noise.unsqueeze(-2).expand(self.apart.shape))
        return (weight.unsqueeze(-2) @ each).squeeze(-2)

    def images(self, matrix: Tensor) -> Tensor:
        return (self.apart + self.mean.unsqueeze(-2)) @ matrix.mT

    def crossed(self, matrix: Tensor) -> Tensor:
        return self.earlier.within(matrix).movedim(0, -2)
