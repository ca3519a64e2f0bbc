r"""The posterior of few common factors, through a matrix of rank times rank.

With :math:`x = \mu + W g + e`, :math:`e \sim N(0, \Psi)`, and errors of variance s on some coordinates,

.. math:: h = \frac1{\psi + s}, \qquad B = h^{1/2} W, \qquad t = h^{1/2}(y - \mu), \qquad
    \begin{pmatrix} B \\ I \end{pmatrix} = \begin{pmatrix} Q \\ \cdot \end{pmatrix} R, \qquad
    E[g | y] = R^{-1} Q^\top t, \\
    x | y \sim N\Big(\mu + \psi h\,(y - \mu) + s h\, W E[g|y],\;
    (s h W R^{-1})(s h W R^{-1})^\top + \mathrm{diag}(\psi s h)\Big),

again few factors and a variance of its own for each coordinate. The evidence is a sum of squares,
:math:`|t - B E[g|y]|^2 + |E[g|y]|^2`. A coordinate that was not seen has h = 0 and sh = 1.
"""

from __future__ import annotations

import math
from dataclasses import dataclass

import torch
from torch import Tensor

from ..columns import times
from .gain import Gain
from .measurement import Coordinates

__all__ = ["by_factors"]

_HALF_LOG_TWO_PI = 0.5 * math.log(2 * math.pi)


@dataclass(frozen=True, eq=False, repr=False)
class _ByFactors(Gain):
    back: Tensor | None  # (*L, M, D)
    weight: Tensor  # h^1/2, (*L, D)
    gain: Tensor  # psi h, (*L, D)
    scaled: Tensor  # B, (*L, D, q)
    expected: Tensor  # R^-1 Q^T, (*L, q, D)
    loadings: Tensor  # s h W, (*L, D, q)
    constant: Tensor  # (*L)

    def explain(self, y: Tensor, mean: Tensor) -> tuple[Tensor, Tensor]:
        residual = (y if self.back is None else times(self.back.mT, y)) - mean
        t = self.weight * residual
        g = times(self.expected, t)
        left = t - times(self.scaled, g)
        log_prob = self.constant - 0.5 * (left.square().sum(-1) + g.square().sum(-1))
        return log_prob, mean + self.gain * residual + times(self.loadings, g)


def by_factors(loadings: Tensor, own: Tensor, measured: Coordinates) -> tuple[Tensor, Tensor, Gain]:
    r"""Returns the posterior's loadings and own variances, and the gain.

    Arguments:
        loadings: W, with shape ``(*L, D, q)``.
        own: :math:`\psi`, with shape ``(*L, D)``.
        measured: The measurement, with errors above zero.
    """
    total = torch.where(measured.seen, own + measured.noise, 1.0)
    weight = torch.where(measured.seen, total.rsqrt(), 0.0)
    kept = torch.where(measured.seen, measured.noise / total, 1.0)  # s h
    scaled = weight.unsqueeze(-1) * loadings
    one = torch.eye(loadings.shape[-1], dtype=own.dtype, device=own.device)
    stacked = torch.cat([scaled, one.expand(*scaled.shape[:-2], *one.shape)], -2)
    basis, upper = torch.linalg.qr(stacked)
    expected = torch.linalg.solve_triangular(upper, basis[..., : own.shape[-1], :].mT, upper=True)
    half_logdet = upper.diagonal(dim1=-2, dim2=-1).abs().log().sum(-1)
    spread = 0.5 * total.log().sum(-1)
    constant = measured.stretch - half_logdet - spread - measured.recorded * _HALF_LOG_TWO_PI
    left = kept.unsqueeze(-1) * loadings
    after = torch.linalg.solve_triangular(upper, left, upper=True, left=False)
    gain = _ByFactors(measured.back, weight, own * weight.square(), scaled, expected, left, constant)
    return after, own * kept, gain
