r"""Scores that are wrong by a known amount, as a network's are: a smooth error of prescribed size.

The noise to be expected is off by :math:`e\,h(x)`, so the score by :math:`-e\,h(x)/\sigma` and the clean draw by
:math:`-e\,(\sigma/\alpha)\,h(x)`, with random features

.. math:: h(x) = \frac{1}{c_t}\sum_j a_j\sin(\omega_j^\top x + b_j), \qquad \omega_j \sim N(0, I/\ell^2), \qquad
    E_{p_t}|h|^2 = 1 .

With :math:`a_j = \omega_j` it is a gradient, and the Jacobian stays symmetric, as that of every true score; with
:math:`a_j` drawn apart it is not. The constant is exact, because a mixture knows

.. math:: E\cos(\omega^\top x + b) = \sum_k w_k\,e^{-\frac12\omega^\top S_k\omega}\cos(\alpha\,\omega^\top\mu_k + b),
    \qquad S_k = \alpha^2\Sigma_k + \sigma^2 I .
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

import torch
from torch import Generator, Tensor

from ..errors import refuse
from .beliefs import Belief, tweedie
from .laws import Process
from .models import Exact, Model
from .places import Place

__all__ = ["Imperfect"]


@dataclass(frozen=True, eq=False)
class Imperfect(Model):
    r"""A mixture's own answers, but for a smooth error.

    Arguments:
        process: The mixture under its schedule, of no batch shape.
        size: e, at least 0: the root of the mean square of the error of the noise, in :math:`L^2(p_t)` at every t; the
            score's is :math:`e/\sigma`.
        length: :math:`\ell > 0`: over what distance the error changes.
        features: The number of sines.
        symmetric: Whether the error is a gradient.
        generator: The source of randomness.

    Raises:
        MixtureError: If the mixture is a batch, or a number is out of range.

    Source: Rahimi and Recht (2007), for the features.

    Example:
        >>> mixture = mx.Mixture(torch.ones(2), mx.Normal(torch.tensor([-2.0, 2.0]), torch.ones(2)))
        >>> process = mx.diffusion.Process(mixture, mx.diffusion.EDM())
        >>> model = mx.diffusion.Imperfect(process, 0.1, generator=torch.Generator().manual_seed(0))
        >>> mx.diffusion.sample(model, process.schedule, (1000,), 20, generator=torch.Generator().manual_seed(1)).shape
        torch.Size([1000])
    """

    process: Process
    size: float
    length: float = 1.0
    features: int = 64
    symmetric: bool = True
    generator: Generator | None = None
    _waves: _Waves = field(init=False, repr=False)

    def __post_init__(self) -> None:
        if self.process.mixture.batch_shape:
            refuse("process", "of one mixture", f"a batch of shape {tuple(self.process.mixture.batch_shape)}")
        wanted = {
            "size": (self.size >= 0, "at least 0"),
            "length": (self.length > 0, "above 0"),
            "features": (self.features >= 1, "at least 1"),
        }
        for name, (met, expected) in wanted.items():
            if not met:
                refuse(name, expected, getattr(self, name))
        object.__setattr__(self, "_waves", _Waves.drawn(self))

    @property
    def kind(self) -> Mapping[str, Any]:  # type: ignore[override]
        """The mixture's type and device."""
        return Exact(self.process).kind

    def check(self, shape: tuple[int, ...]) -> None:
        Exact(self.process).check(shape)

    def event_shape(self, x: Tensor) -> torch.Size:
        return self.process.mixture.event_shape

    def denoise(self, x: Tensor, place: Place) -> Tensor:
        return self.process.denoise(place.t, x) - self._shift(place) * self._waves.at(x)

    def belief(self, x: Tensor, place: Place) -> Belief:
        mean, times = self.process.belief(place.t, x)
        share = self._shift(place)
        slope = tweedie(place) * share
        return Belief(mean - share * self._waves.at(x), lambda v: times(v) - slope * self._waves.pulled(x, v))

    def _shift(self, place: Place) -> float:
        """By how much of the features the clean draw is off."""
        if place.alpha == 0:
            refuse("grid", "of times at which some signal is left", f"t = {place.t:g}", "There E is off without end.")
        return self.size * place.ratio / math.sqrt(self._waves.square(place))


@dataclass(frozen=True, eq=False)
class _Waves:
    """Sines of rows, and their mean square under a mixture at a place."""

    frequency: Tensor  # (F, D)
    phase: Tensor  # (F)
    amplitude: Tensor  # (F, D)
    weights: Tensor  # (K)
    centres: Tensor  # omega^T mu_k, (K, F)
    spread: Tensor  # omega_i^T Sigma_k omega_j, (K, F, F)
    numbers: bool

    @classmethod
    def drawn(cls, model: Imperfect) -> _Waves:
        mixture, generator = model.process.mixture, model.generator
        gaussian, kind = mixture.components.gaussian, {"dtype": mixture.dtype, "device": mixture.device}
        shape = (model.features, gaussian.features)
        frequency = torch.randn(shape, generator=generator, **kind) / model.length
        phase = 2 * math.pi * torch.rand(model.features, generator=generator, **kind)
        apart = frequency if model.symmetric else torch.randn(shape, generator=generator, **kind) / model.length
        spread = frequency @ gaussian.structure.dense(gaussian.features) @ frequency.mT
        centres, numbers = gaussian.location @ frequency.mT, not mixture.event_shape
        return cls(frequency, phase, apart, mixture.weights, centres, spread, numbers)

    def at(self, x: Tensor) -> Tensor:
        return self._shaped(self._angle(x).sin() @ self.amplitude)

    def pulled(self, x: Tensor, v: Tensor) -> Tensor:
        """The transposed Jacobian of the sum times vectors ``(*L, *S, D)``."""
        return self._shaped((self._angle(x).cos() * (self._rows(v) @ self.amplitude.mT)) @ self.frequency)

    def square(self, place: Place) -> float:
        """The mean square of the sum at a place: of products of two sines, cosines of differences less of sums."""
        inner = self.amplitude @ self.amplitude.mT
        return float(0.5 * (inner * (self._cosine(place, -1) - self._cosine(place, 1))).sum())

    def _cosine(self, place: Place, sign: int) -> Tensor:
        """The means of cosines of sums or differences of two angles, ``(F, F)``."""
        both = place.alpha**2 * self.spread + place.sigma**2 * self.frequency @ self.frequency.mT
        own = both.diagonal(dim1=-2, dim2=-1)
        spread = own.unsqueeze(-1) + own.unsqueeze(-2) + 2 * sign * both
        angle = place.alpha * self.centres + self.phase
        mean = torch.exp(-0.5 * spread) * torch.cos(angle.unsqueeze(-1) + sign * angle.unsqueeze(-2))
        return (self.weights[:, None, None] * mean).sum(0)

    def _angle(self, x: Tensor) -> Tensor:
        return self._rows(x) @ self.frequency.mT + self.phase

    def _rows(self, x: Tensor) -> Tensor:
        return x.unsqueeze(-1) if self.numbers else x

    def _shaped(self, rows: Tensor) -> Tensor:
        return rows.squeeze(-1) if self.numbers else rows
