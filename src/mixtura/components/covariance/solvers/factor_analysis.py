r"""Factor analysis of second moments: loadings and noise of maximum likelihood.

For moments S, and :math:`S^* = \Psi^{-1/2} S \Psi^{-1/2}` with eigenvalues :math:`\theta_1 \ge \theta_2 \ge \dots` and
eigenvectors :math:`\omega_m`, the best loadings given :math:`\psi` are (Jöreskog, 1967)

.. math:: W = \Psi^{1/2}\, [\omega_1 \sqrt{(\theta_1 - 1)_+}, \dots, \omega_q \sqrt{(\theta_q - 1)_+}],

which leaves, with :math:`x = \log\psi` and R the m that have a loading, a function of the noise alone,

.. math:: h(x) = \sum_d x_d + \sum_{m \in R} (1 + \log\theta_m) + \sum_{m \notin R} \theta_m, \qquad
    \frac{\partial h}{\partial x_d} = \sum_{m \notin R} (1 - \theta_m)\, \omega_{dm}^2 ,

which is minus twice the log-likelihood of a row. A step is that of Newton's method (Clarke, 1970) where it lowers h,
else that of EM with W just renewed (Rubin and Thayer, 1982), :math:`\psi = \mathrm{diag}(S - W W^\top)`, which never
raises h but crawls:

.. math:: \frac{\partial^2 h}{\partial x_d \partial x_e} = \sum_{m,n \notin R} \theta_m
    \omega_{dm}\omega_{em}\omega_{dn}\omega_{en} + \sum_{m \notin R,\, n \in R}
    (1-\theta_m) \frac{\theta_n+\theta_m}{\theta_n-\theta_m} \omega_{dm}\omega_{em}\omega_{dn}\omega_{en} .
"""

from __future__ import annotations

from typing import NamedTuple

import torch
from torch import Tensor

__all__ = ["Spectrum", "derivatives", "factor_analysis", "spectrum"]

_LEAST = 1e-6  # noise over a feature's variance: it has no maximum where one factor is one feature (Heywood, 1931)
_SETTLED = 1e-13  # the fall of h, in nats per row, at which to stop
_RIDGE = 1e-9
_UNITS = 8  # in the last place of eigenvalues
_STRIDE = 2.0  # the longest step of a logarithm


class Spectrum(NamedTuple):
    """Eigenvalues and vectors of the moments scaled by noise exp(x), the q largest last, and the loss h(x)."""

    x: Tensor
    values: Tensor
    vectors: Tensor
    loss: Tensor


def factor_analysis(moment: Tensor, rank: int, noise: Tensor | None, steps: int) -> tuple[Tensor, Tensor]:
    r"""Fits loadings and noise to second moments by steps none of which lowers the likelihood.

    Arguments:
        moment: The covariances S, finite, with shape ``(*L, D, D)``.
        rank: The number q of factors.
        noise: The variances :math:`\psi` to start from, with shape ``(*L, D)``; those that principal components leave
            (Tipping and Bishop, 1999) if none are given.
        steps: The largest number of steps.

    Returns:
        Loadings ``(*L, D, q)`` and noise ``(*L, D)``.
    """
    least = (_LEAST * moment.diagonal(dim1=-2, dim2=-1)).log()
    if noise is not None:
        least = torch.minimum(least, noise.log())  # the bound never rises, or the likelihood would fall with it
    now = spectrum(moment, torch.maximum(_principal(moment, rank) if noise is None else noise.log(), least), rank)
    for _ in range(steps):
        last, now = now, _lower(moment, now, least, rank)
        if not bool((last.loss - now.loss > _SETTLED).any()):
            break
    return _loadings(now, rank), now.x.exp()


def _lower(moment: Tensor, now: Spectrum, least: Tensor, rank: int) -> Spectrum:
    """Newton's step where it lowers h by more than rounding, else that of EM, else none."""
    new = spectrum(moment, torch.maximum(now.x + _newton(now, rank, now.x > least), least), rank)
    if bool(_less(new, now).all()):
        return new
    left = moment.diagonal(dim1=-2, dim2=-1) - _loadings(now, rank).square().sum(-1)
    gradual = spectrum(moment, torch.maximum(left.clamp_min(0).log(), least), rank)
    return _chosen(new, _chosen(gradual, now))


def _chosen(one: Spectrum, other: Spectrum) -> Spectrum:
    """The first where its loss is less, else the other."""
    less = _less(one, other)
    pairs = zip(one, other, strict=True)
    return Spectrum(*(torch.where(less.reshape(less.shape + (1,) * (a.ndim - less.ndim)), a, b) for a, b in pairs))


def _less(one: Spectrum, other: Spectrum) -> Tensor:
    """Where the first has the lower loss: all eigenvalues are known to the last digits of the largest alone."""
    rounding = _UNITS * torch.finfo(one.loss.dtype).eps * other.values[..., -1]
    return one.loss < other.loss - rounding


def _principal(moment: Tensor, rank: int) -> Tensor:
    """The logarithm of the mean variance that the first components leave, for each feature."""
    values = torch.linalg.eigvalsh(moment)
    rest = values[..., : max(1, values.shape[-1] - rank)].mean(-1, keepdim=True)
    return rest.clamp_min(torch.finfo(moment.dtype).tiny).log().expand(values.shape)


def spectrum(moment: Tensor, x: Tensor, rank: int) -> Spectrum:
    """Returns eigenvalues and vectors of the moments scaled by noise exp(x), and the loss h(x)."""
    scale = (-0.5 * x).exp()
    values, vectors = torch.linalg.eigh(scale.unsqueeze(-1) * moment * scale.unsqueeze(-2))
    first = values[..., -rank:].clamp_min(1)
    left = values[..., :-rank].sum(-1) + (values[..., -rank:] / first + first.log()).sum(-1)
    return Spectrum(x, values, vectors, x.sum(-1) + left)


def _loadings(now: Spectrum, rank: int) -> Tensor:
    length = (now.values[..., -rank:] - 1).clamp_min(0).sqrt()
    return (0.5 * now.x).exp().unsqueeze(-1) * now.vectors[..., -rank:] * length.unsqueeze(-2)


def _newton(now: Spectrum, rank: int, free: Tensor) -> Tensor:
    """The step down of Newton's method in those coordinates that are free, or would become so."""
    features = now.values.shape[-1]
    loaded = (torch.arange(features).to(now.values) >= features - rank) & (now.values > 1)
    slope, bend = derivatives(now.values, now.vectors, loaded, rank)
    moves = (free | (slope < 0)).to(slope)
    bend = bend * moves.unsqueeze(-1) * moves.unsqueeze(-2) + torch.diag_embed(1 - moves)
    curve, along = torch.linalg.eigh(bend.nan_to_num(0.0, 0.0, 0.0))
    push = along.mT @ (slope * moves).unsqueeze(-1)
    step = -(along @ (push / (curve.abs() + _RIDGE).unsqueeze(-1))).squeeze(-1)
    return step.nan_to_num(0.0).clamp(-_STRIDE, _STRIDE)


def derivatives(values: Tensor, vectors: Tensor, loaded: Tensor, rank: int) -> tuple[Tensor, Tensor]:
    """The gradient and the matrix of second derivatives of h."""
    rest = vectors * (~loaded).unsqueeze(-2)
    slope = (rest.square() @ (1 - values).unsqueeze(-1)).squeeze(-1)
    bend = (rest * values.unsqueeze(-2)) @ rest.mT * (rest @ rest.mT)
    for n in range(-rank, 0):
        other, mine = values, values[..., n, None]
        pull = torch.where(loaded[..., n, None] & ~loaded, (1 - other) * (other + mine) / (mine - other), 0)
        axis = vectors[..., n]
        bend = bend + axis.unsqueeze(-1) * axis.unsqueeze(-2) * ((rest * pull.unsqueeze(-2)) @ rest.mT)
    return slope, bend
