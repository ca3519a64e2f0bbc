r"""Uncertain scales: a component's standard deviation is itself drawn anew for every row.

A draw :math:`x = \mu + s \epsilon` is recorded as :math:`y = \mu + (s + e)\,\epsilon`, stretched about its component's
mean, with :math:`e = |v z|`, z standard normal. So

.. math::

    p(y) = \int_0^\infty N(y; \mu, (s + e)^2)\, h(e)\, de, \qquad
    \mathrm{Var}\, y = s^2 + 2 s v \sqrt{2/\pi} + v^2, \qquad
    x = \mu + (y - \mu) \frac{s}{s + e},

with h the half-normal density of scale v; the integral is a sum over quadrature nodes, that is, a scale mixture.

Learning ascends by surrogates. Per node, :math:`-\log(s + e) - (y-\mu)^2 / 2(s+e)^2` lies above a multiple of a
Gaussian's :math:`-\log s - c / 2 s^2` that touches it at the current s, with

.. math:: c = s^2 + s^3 \Big(\frac{(y - \mu)^2}{(s + e)^3} - \frac1{s + e}\Big),

so that c, and :math:`s^2 (y - \mu)/(s+e)^2` for the mean, are the statistics of an update that cannot lower the
likelihood in s. At e = 0 they are those of EM.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from functools import lru_cache
from typing import Any

import numpy as np
import torch
from torch import Generator, Tensor

from ..components import Component
from ..components.observation import Frame, over
from ..errors import NotClosedForm
from .base import aligned, lead, of_label, weighted
from .nodes import NodeObservation, Nodes
from .noise import nonnegative

__all__ = ["ScaleNoise"]

_HALF_LOG_TWO_PI = 0.5 * math.log(2 * math.pi)


@dataclass(frozen=True, eq=False, repr=False, init=False)
class ScaleNoise(NodeObservation):
    r"""Components on numbers whose standard deviation is :math:`s_k + |v_k z|`, z standard normal, anew for every row.

    Arguments:
        scale: v, a number, one per component ``(K,)`` or one per row ``(N,)``; see ``per_row`` of `AdditiveNoise`.
        per_row: What a dimension of ``scale`` counts.

    The density is accurate to about 1e-10 where v is up to a thousand times the component's scale.

    Raises:
        MixtureError: If a scale is negative or not finite.
        NotClosedForm: If the components are not Normal.

    Example:
        >>> clean = mx.Mixture(torch.ones(1), mx.Normal(torch.zeros(1), torch.ones(1)))
        >>> clean.observed(mx.observation.ScaleNoise(0.5)).variance
        tensor(2.0479)
    """

    scale: Tensor
    per_row: bool | None

    def __init__(self, scale: Any, *, per_row: bool | None = None) -> None:
        object.__setattr__(self, "scale", nonnegative("scale", scale))
        object.__setattr__(self, "per_row", per_row)

    def resolve(self, frame: Frame) -> ScaleNoise:
        if self.scale.ndim == 2:
            return self
        if frame.event_shape:
            raise NotClosedForm("ScaleNoise is for mixtures on numbers (Normal components).")
        return self._replace(scale=lead("scale", self.scale.to(frame.device, frame.dtype), 0, frame, self.per_row))

    @property
    def count(self) -> int:
        return len(half_normal()[0])

    def nodes(self, components: Component, y: Tensor) -> Nodes:
        loc, scale = _normal(components)
        gap, wide, log_probability = self._wide(components, y, loc, scale)
        density = -0.5 * (gap / wide).square() - wide.log() - _HALF_LOG_TWO_PI
        clean = loc.unsqueeze(-1) + gap * (scale.unsqueeze(-1) / wide)
        return Nodes(clean, density + log_probability)

    def _wide(self, components: Component, y: Tensor, loc: Tensor, scale: Tensor) -> tuple[Tensor, Tensor, Tensor]:
        """Residuals ``(..., K, 1)``, the scales at the nodes ``(..., K, Q)`` and the nodes' log-probabilities."""
        node, log_probability = (torch.as_tensor(array, dtype=y.dtype, device=y.device) for array in half_normal())
        wide = scale.unsqueeze(-1) + aligned(self.scale, components).unsqueeze(-1) * node
        return (y.unsqueeze(-1) - loc).unsqueeze(-1), wide, log_probability

    def complete(self, components: Component, y: Tensor, r: Tensor) -> tuple[Tensor, ...]:
        loc, scale = _normal(components)
        shift, second = [], []
        for one, rows in self._pieces(components, over(y, components)):
            gap, wide, log_probability = one._wide(components, rows, loc, scale)  # type: ignore[attr-defined]
            share = torch.softmax(log_probability - 0.5 * (gap / wide).square() - wide.log(), -1)
            s = scale.unsqueeze(-1)
            ratio = s / wide
            shift.append((share * ratio.square() * gap).sum(-1))
            second.append((share * (s.square() * (1 - ratio) + ratio**3 * gap.square())).sum(-1))
        gaussian = components.gaussian_law
        return weighted(gaussian, r, torch.cat(shift).unsqueeze(-1), torch.cat(second)[..., None, None])

    def moments(self, components: Component) -> tuple[Tensor, Tensor]:
        loc, scale = _normal(components)
        v = aligned(self.scale, components)
        variance = scale.square() + 2 * scale * v * math.sqrt(2 / math.pi) + v.square()
        return loc.expand(variance.shape), variance

    def record(self, x: Tensor, labels: Tensor, generator: Generator | None, components: Component | None) -> Tensor:
        if components is None:
            raise NotClosedForm("ScaleNoise stretches draws about their component; use `mixture.observed(...).sample`.")
        loc, scale = _normal(components)
        if loc.ndim > 1:
            raise NotClosedForm("ScaleNoise draws from one mixture at a time.")
        z = torch.randn(x.shape, dtype=x.dtype, device=x.device, generator=generator)
        wide = (of_label(self.scale, labels) * z).abs()
        return x + (x - loc[labels]) * (wide / scale[labels])


def _normal(components: Component) -> tuple[Tensor, Tensor]:
    if components.event_shape or not components.is_gaussian:
        raise NotClosedForm(f"ScaleNoise is for Normal components; got {type(components).__name__}.")
    gaussian = components.gaussian
    scale = gaussian.structure.scales(1).squeeze(-1).expand(gaussian.batch_shape)
    return gaussian.location.squeeze(-1), scale


@lru_cache
def half_normal() -> tuple[np.ndarray, np.ndarray]:
    r"""Nodes and log-weights for :math:`\int_0^\infty f(t)\, 2\phi(t)\, dt`: Gauss-Legendre on pieces that grow.

    The integrand changes where t v is near s or near :math:`|y - \mu|`, whatever their ratio, so the pieces grow
    geometrically from 1e-4 on, to where the half-normal density ends in double precision: outliers come from there.
    """
    edges = np.concatenate([[0.0], np.geomspace(1e-4, 1.0, 9), [2.0, 3.0, 4.5, 6.5, 9.0, 13.0, 19.0, 27.0, 38.0]])
    x, w = np.polynomial.legendre.leggauss(16)
    half = np.diff(edges)[:, None] / 2
    node = (edges[:-1, None] + half + half * x).reshape(-1)
    log_weight = (np.log(half) + np.log(w)).reshape(-1)
    return node, log_weight + math.log(2) - 0.5 * node**2 - _HALF_LOG_TWO_PI
