r"""Covariances of few common factors: mixtures of factor analysers.

With loadings W of shape (D, q) and a variance of its own for each feature,

.. math:: \Sigma_k = W_k W_k^\top + \mathrm{diag}(\psi_k), \qquad B = \Psi^{-1/2} W, \qquad M = I_q + B^\top B,

the density needs the small matrix M alone. With :math:`t = \Psi^{-1/2}(x - \mu)` and the factors expected of a row,
:math:`g = M^{-1}B^\top t`,

.. math:: \log|\Sigma| = \log|M| + \textstyle\sum_d \log\psi_d, \qquad
    (x-\mu)^\top\Sigma^{-1}(x-\mu) = |t - B g|^2 + |g|^2,

a sum of squares, so that no digits cancel. With columns of B turned to be orthogonal, of squared lengths
:math:`s^2 - 1`, the symmetric root of :math:`I + BB^\top` is :math:`I + B(s + 1)^{-1}B^\top` and its inverse
:math:`I - B(s(s + 1))^{-1}B^\top`: rows are coloured and whitened by
:math:`L = \Psi^{1/2}(I + BB^\top)^{1/2}`. The structure stores :math:`[W\ \ \psi^{1/2}]`, of shape (D, q + 1).

The M-step fits factor analysis to the second moments S, as `factor_analysis` says; EM sums them as for a full matrix.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Self

import torch
from torch import Tensor

from ...errors import refuse
from ...kernels import FULL, LOW_RANK, Form
from .columns import times
from .full import Full, factored
from .patterns import apply, picks
from .posterior import Gain, Measurement, by_factors
from .solvers.factor_analysis import factor_analysis
from .structure import Structure

__all__ = ["LowRank"]

_ROUNDS = 500  # steps of factor analysis at most, to fit given covariances
_FEW = 2  # and within one iteration of EM
_WIDE = 128  # features from which on the small matrix is faster than the compiled pass over full ones


@dataclass(frozen=True, eq=False, repr=False, init=False)
class LowRank(Structure):
    r"""Covariances :math:`W_k W_k^\top + \mathrm{diag}(\psi_k)` with loadings W of shape (D, rank).

    Arguments:
        rank: The number q of common factors, at least 1.
        tied: Whether the components share one matrix.

    Without values it is a template for a fit; `from_loadings` gives it values. Log-densities cost O(N K D q), and no
    matrix of D times D is made for them; below 128 features, where the pass over full matrices is faster, many rows at
    once take that instead. A fit sums second moments of all features, as for `Full`.

    Raises:
        MixtureError: If the rank is not a whole number of at least 1.

    Example:
        >>> mx.LowRank(2, tied=True)
        LowRank(2, tied=True)
        >>> factor = mx.LowRank.from_loadings(torch.ones(1, 3, 1), torch.full((1, 3), 0.5))
        >>> factor.dense(3)
        tensor([[[1.5000, 1.0000, 1.0000],
                 [1.0000, 1.5000, 1.0000],
                 [1.0000, 1.0000, 1.5000]]])
    """

    rank: int

    trailing = 2
    form = FULL
    keeps_round = True

    def __init__(self, rank: int, *, tied: bool = False) -> None:
        if isinstance(rank, bool) or not isinstance(rank, int) or rank < 1:
            refuse("rank", "a whole number of at least 1", repr(rank))
        for name, value in (("factor", None), ("tied", tied), ("rank", rank)):
            object.__setattr__(self, name, value)

    @classmethod
    def from_loadings(
        cls, loadings: Tensor, noise: Tensor, *, tied: bool = False, validate_args: bool = True
    ) -> LowRank:
        r"""Builds the structure from its parts.

        Arguments:
            loadings: W, with shape ``(*B, K, D, rank)``, or ``(D, rank)`` where tied.
            noise: The variances :math:`\psi`, positive, with shape ``(*B, K, D)``, or ``(D,)`` where tied.
            tied: Whether the components share one matrix.
            validate_args: Whether to check numbers; without it nothing waits for the device.

        Raises:
            MixtureError: If the shapes do not agree, or a variance is not positive and finite.
        """
        if loadings.ndim < 2 or loadings.shape[:-1] != noise.shape:
            refuse("loadings", f"of shape (..., D, rank) beside noise {tuple(noise.shape)}", tuple(loadings.shape))
        if validate_args and not bool((noise > 0).all() & noise.isfinite().all() & loadings.isfinite().all()):
            refuse("noise", "positive and finite, beside finite loadings", "a number that is not")
        if not tied and loadings.ndim < 3:
            refuse("loadings", "a components dimension before (D, rank)", tuple(loadings.shape))
        factor = torch.cat([loadings, noise.sqrt().unsqueeze(-1)], -1)
        return cls._packed(factor.unsqueeze(0) if tied and factor.ndim == 2 else factor, tied)

    @property
    def nonnegative(self) -> Tensor:
        return self.given[..., -1]

    def verify(self) -> None:
        super().verify()
        if self.given.shape[-1] != self.rank + 1:
            refuse("rank", f"{self.given.shape[-1] - 1}, the number of loadings", self.rank)

    @classmethod
    def _packed(cls, factor: Tensor, tied: bool) -> LowRank:
        return cls._of(factor=factor, tied=tied, rank=factor.shape[-1] - 1)

    @property
    def loadings(self) -> Tensor:
        """The loadings W, with shape ``(*B, K or 1, D, rank)``."""
        return self.given[..., :-1]

    @property
    def noise(self) -> Tensor:
        r"""The variances :math:`\psi` that no factor explains, with shape ``(*B, K or 1, D)``."""
        return self.given[..., -1].square()

    @property
    def name(self) -> str:
        return "tied-" * self.tied + f"low-rank-{self.rank}"

    @property
    def constrained(self) -> bool:
        return True

    @property
    def unconstrained(self) -> Full:
        return Full._of(factor=None if self.factor is None else self._cholesky(), tied=self.tied)

    def fits(self, features: int) -> bool:
        return self.given.shape[-2] == features

    # -- without a matrix of D times D

    def distance(self, residual: Tensor) -> Tensor:
        scaled, small = self._scaled()
        t = residual / self.given[..., -1]
        g = times(small, times(scaled.mT, t))
        left = t - times(scaled, g)
        return left.square().sum(-1) + g.square().sum(-1)

    def solve(self, residual: Tensor) -> Tensor:
        scaled, small = self._scaled()
        scale = self.given[..., -1]
        t = residual / scale
        return (t - times(scaled, times(small, times(scaled.mT, t)))) / scale

    def half_logdet(self, features: int) -> Tensor:
        capacitance = factored(self._capacitance(self._scaled_loadings()), self.tied)
        return capacitance.half_logdet(self.rank) + self.given[..., -1].log().sum(-1)

    def variance(self, features: int) -> Tensor:
        return self.given.square().sum(-1)

    def for_densities(self) -> tuple[Form, Tensor]:
        """The scaled loadings B and the inverse of the scale of the noise; of few features, the inverse factor."""
        if self.given.shape[-2] < _WIDE:
            return super().for_densities()
        return LOW_RANK, torch.cat([self._scaled_loadings(), self.given[..., -1:].reciprocal()], -1)

    def whiten(self, residual: Tensor) -> Tensor:
        scaled, roots = self._roots()
        t = residual / self.given[..., -1]
        return t - times(scaled, times(scaled.mT, t) / (roots * (roots + 1)))

    def color(self, noise: Tensor) -> Tensor:
        scaled, roots = self._roots()
        return (noise + times(scaled, times(scaled.mT, noise) / (roots + 1))) * self.given[..., -1]

    def color_rows(self, index: int | Tensor, noise: Tensor) -> Tensor:
        one = self._replace(factor=self.given.flatten(0, -3)[index], tied=False)
        return one.color(noise)

    @property
    def for_draws(self) -> LowRank:
        return self

    # -- with one, for each component and never for each row

    @property
    def triangular(self) -> Full:
        return self.unconstrained

    def inverse_factor(self) -> Tensor:
        return factored(self._precise(), self.tied).inverse_factor().to(self.dtype)

    def scales(self, features: int) -> Tensor:
        return self.unconstrained.scales(features)

    def dense(self, features: int) -> Tensor:
        return self.loadings @ self.loadings.mT + torch.diag_embed(self.noise)

    def inv(self) -> Full:
        """The inverse matrices, which are not of low rank but full."""
        scaled, small = self._scaled()
        inside = torch.eye(scaled.shape[-2]).to(scaled) - scaled @ small @ scaled.mT
        scale = self.given[..., -1]
        return Full._of(
            factor=torch.linalg.cholesky(inside / scale.unsqueeze(-1) / scale.unsqueeze(-2)), tied=self.tied
        )

    # -- parts

    def marginal(self, dims: Sequence[int]) -> LowRank:
        return self._replace(factor=self.given[..., list(dims), :])

    def conditional(self, known: Sequence[int], free: Sequence[int]) -> LowRank:
        r"""With the factors' covariance :math:`M_b^{-1}` given the known coordinates: loadings
        :math:`W_a M_b^{-1/2}`."""
        small = torch.linalg.inv(self._capacitance(self.marginal(known)._scaled_loadings()))
        rest = self.given[..., list(free), :]
        loadings = rest[..., :-1] @ torch.linalg.cholesky(small)
        return self._replace(factor=torch.cat([loadings, rest[..., -1:]], -1))

    def singular(self, features: int) -> Tensor:
        return ~(self.noise > 0).all(-1)

    def predicted(self, mean: Tensor, known: Sequence[int], free: Sequence[int], values: Tensor) -> Tensor:
        """Through the factors, which are all that coordinates have in common."""
        pull = self.marginal(known).solve(values.unsqueeze(-2) - mean[..., list(known)])
        there, here = (self.loadings[..., list(dims), :] for dims in (known, free))
        return mean[..., list(free)] + times(here, times(there.mT, pull))

    # -- algebra

    def full(self, features: int) -> Full:
        return self.unconstrained

    def plus_spherical(self, variance: Tensor) -> LowRank:
        return self.plus_diagonal(variance.unsqueeze(-1))

    def plus_diagonal(self, variance: Tensor) -> LowRank:
        return self._joined(self.loadings, (self.noise + variance).sqrt())

    def image(self, matrix: Tensor, noise: Structure | None = None) -> Structure:
        if not picks(matrix):
            return super().image(matrix, noise)
        image = self._joined(matrix @ self.loadings, apply(matrix.abs(), self.given[..., -1]))
        return image if noise is None else image.plus(noise)

    def _joined(self, loadings: Tensor, scale: Tensor) -> LowRank:
        lead = torch.broadcast_shapes(loadings.shape[:-1], scale.shape)
        factor = torch.cat([loadings.expand(*lead, -1), scale.expand(lead).unsqueeze(-1)], -1)
        return LowRank._packed(factor, self._tied_still(factor))

    # -- estimates

    def posterior(self, measurement: Measurement, features: int) -> tuple[Structure, Gain]:
        """Few factors again, unless errors of zero leave no variance of its own to a coordinate."""
        coordinates = measurement.coordinates()
        if coordinates is None or not bool(((coordinates.noise > 0) | ~coordinates.seen).all()):
            return self.unconstrained.posterior(measurement, features)
        loadings, own, gain = by_factors(self.loadings, self.noise, coordinates)
        factor = torch.cat([loadings, own.sqrt().unsqueeze(-1)], -1)
        return LowRank._packed(factor, self.tied and factor.shape[-3] == 1), gain

    def estimate(self, weight: Tensor, shift: Tensor, scatter: Tensor, degrees: Tensor) -> Self:
        between = self.outer(shift / weight.sqrt().unsqueeze(-1))
        centred = scatter - self.pool(between, 2)
        return self._matched(centred / degrees[..., None, None], self.noise, _FEW)

    def with_moment(self, moment: Tensor, features: int) -> Self:
        return self._matched(moment, None, _ROUNDS)

    def parameters(self, components: int, features: int) -> int:
        rank = min(self.rank, features)
        one = min(features * (rank + 1) - rank * (rank - 1) // 2, features * (features + 1) // 2)
        return one if self.tied else one * components

    def _matched(self, moment: Tensor, noise: Tensor | None, steps: int) -> Self:
        """Factor analysis of each moment; NaN where a variance is not positive and finite."""
        variance = moment.diagonal(dim1=-2, dim2=-1)
        sound = ((variance > 0) & variance.isfinite()).all(-1)
        safe = torch.where(sound[..., None, None], moment, torch.eye(moment.shape[-1]).to(moment))
        noise = None if noise is None else torch.where(sound.unsqueeze(-1) & noise.isfinite(), noise, 1)
        loadings, left = factor_analysis(safe, min(self.rank, moment.shape[-1]), noise, steps)
        loadings = torch.nn.functional.pad(loadings, (0, self.rank - loadings.shape[-1]))
        factor = torch.cat([loadings, left.sqrt().unsqueeze(-1)], -1)
        return self._replace(factor=factor.masked_fill(~sound[..., None, None], torch.nan))

    def _cholesky(self) -> Tensor:
        return factored(self._precise(), self.tied).given.to(self.dtype)

    def _precise(self) -> Tensor:
        """The matrices in float64: of small noise, single precision would leave nothing."""
        return self.map(Tensor.double).dense(self.given.shape[-2])

    def _scaled_loadings(self) -> Tensor:
        return self.loadings / self.given[..., -1:]

    def _roots(self) -> tuple[Tensor, Tensor]:
        """B turned so that its columns are orthogonal, and the roots of one and their squared lengths."""
        scaled = self._scaled_loadings()
        lengths, turn = torch.linalg.eigh(scaled.mT @ scaled)
        return scaled @ turn, (1 + lengths.clamp_min(0)).sqrt()

    def _scaled(self) -> tuple[Tensor, Tensor]:
        """B, and the inverse of the capacitance matrix M."""
        scaled = self._scaled_loadings()
        return scaled, torch.linalg.inv(self._capacitance(scaled))

    @staticmethod
    def _capacitance(scaled: Tensor) -> Tensor:
        return scaled.mT @ scaled + torch.eye(scaled.shape[-1]).to(scaled)

    def __repr__(self) -> str:
        parts = [str(self.rank), *([f"tensor{tuple(self.factor.shape)}"] if self.factor is not None else [])]
        return f"LowRank({', '.join(parts + ['tied=True'] * self.tied)})"
