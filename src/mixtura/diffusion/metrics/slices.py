r"""A mixture and samples along random directions: on a line everything is known in closed form.

Along a unit vector :math:`\theta` a Gaussian mixture is one of normals, :math:`\sum_k w_k N(m_k, s_k^2)`. With
:math:`z = (x - m_k)/s_k`, its cumulative probability and first two partial moments are

.. math::

    F(x) = \sum_k w_k\Phi(z), \qquad
    \int_{-\infty}^x u\,dF = \sum_k w_k\big[m_k\Phi(z) - s_k\varphi(z)\big], \\
    \int_{-\infty}^x u^2 dF = \sum_k w_k\big[(m_k^2 + s_k^2)\Phi(z) - s_k(2 m_k + s_k z)\varphi(z)\big] .
"""

from __future__ import annotations

import math
from collections.abc import Iterator
from dataclasses import dataclass

import torch
from torch import Generator, Tensor

from ...mixture import Mixture

__all__ = ["Line", "directions", "lines"]

_NUMBERS = 2**22  # of one chunk of slices: rows times slices times components
_HALVINGS = 52
_FAR = 40.0  # scales from which on the normal density is zero


@dataclass(frozen=True, eq=False)
class Line:
    """A mixture along some directions.

    Arguments:
        along: The directions, ``(L, D)``.
        weights: ``(K,)``.
        location: ``(L, K)``.
        scale: ``(L, K)``.
    """

    along: Tensor
    weights: Tensor
    location: Tensor
    scale: Tensor

    @classmethod
    def of(cls, mixture: Mixture, along: Tensor) -> Line:
        """The laws of the mixture along directions ``(L, D)``."""
        components = mixture.affine(along.unsqueeze(-2)).components
        return cls(along, mixture.weights, components.mean.squeeze(-1), components.variance.squeeze(-1).sqrt())

    def sorted(self, samples: Tensor) -> Tensor:
        """Samples ``(N, D)`` along each direction, rising: ``(N, L)``."""
        return (samples.to(self.along) @ self.along.mT).sort(0).values

    def quantiles(self, probability: Tensor) -> Tensor:
        """The quantiles of probabilities ``(N,)``, ``(N, L)``, to 1e-14 of the range; those of 0 and 1 hold all mass.

        Halving an interval asks a quarter of what `Mixture.icdf` asks, which keeps the digits of the tails, too.
        """
        away = _FAR * self.scale.amax(-1)
        low, high = self.location.amin(-1) - away, self.location.amax(-1) + away
        wanted = probability.unsqueeze(-1)
        for _ in range(_HALVINGS):
            middle = 0.5 * (low + high)
            below = self.cdf(middle) < wanted
            low, high = torch.where(below, middle, low), torch.where(below, high, middle)
        return high

    def cdf(self, x: Tensor) -> Tensor:
        """The cumulative probability at ``(N, L)``."""
        return torch.special.ndtr(self._standard(x)) @ self.weights

    def first(self, x: Tensor) -> Tensor:
        """The first partial moment up to ``(N, L)``."""
        z = self._standard(x)
        return (self.location * torch.special.ndtr(z) - self.scale * _density(z)) @ self.weights

    def second(self, x: Tensor) -> Tensor:
        """The second partial moment up to ``(N, L)``."""
        z, m, s = self._standard(x), self.location, self.scale
        return ((m.square() + s.square()) * torch.special.ndtr(z) - s * (2 * m + s * z) * _density(z)) @ self.weights

    def distance(self, x: Tensor) -> Tensor:
        r"""The mean distance :math:`E|x - X|` from ``(N, L)``."""
        return _folded(x.unsqueeze(-1) - self.location, self.scale) @ self.weights

    @property
    def spread(self) -> Tensor:
        r"""The mean distance of two draws, :math:`E|X - X'|`, ``(L,)``."""
        gap = self.location.unsqueeze(-1) - self.location.unsqueeze(-2)
        scale = torch.hypot(self.scale.unsqueeze(-1), self.scale.unsqueeze(-2))
        return (_folded(gap, scale) @ self.weights) @ self.weights

    def _standard(self, x: Tensor) -> Tensor:
        return ((x.unsqueeze(-1) - self.location) / self.scale).clamp(-_FAR, _FAR)


def directions(features: int, count: int, seed: int) -> Tensor:
    """Unit vectors ``(count, D)``, the same for a seed; of one coordinate, that one."""
    if features == 1:
        return torch.ones(1, 1, dtype=torch.float64)
    normal = torch.randn(count, features, dtype=torch.float64, generator=Generator().manual_seed(seed))
    return normal / normal.norm(dim=-1, keepdim=True)


def lines(mixture: Mixture, slices: int, seed: int, count: int) -> Iterator[Line]:
    """The mixture along random directions, a few at a time: as many as fit ``count`` rows."""
    some = max(1, _NUMBERS // (count * mixture.logits.shape[-1]))
    for along in directions(mixture.event_shape[0], slices, seed).to(mixture.device).split(some):
        yield Line.of(mixture, along)


def _density(z: Tensor) -> Tensor:
    return torch.exp(-0.5 * z.square()) / math.sqrt(2 * math.pi)


def _folded(mean: Tensor, scale: Tensor) -> Tensor:
    r"""The mean of :math:`|N(m, s^2)|`, :math:`m(2\Phi(m/s) - 1) + 2 s\varphi(m/s)`."""
    z = mean / scale
    return mean * torch.erf(z / math.sqrt(2)) + 2 * scale * _density(z)
