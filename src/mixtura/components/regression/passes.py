r"""Passes over rows of linear regressions, by the arithmetic of Gaussians.

With :math:`v = (z - c, y - a)` about the centre and the level, :math:`\log p_k(y|z) = \text{const} - \tfrac12 |W v|^2`
where W is zero but for its last row, :math:`(-b, 1)/s`: a Gaussian without a law of the covariates. So the passes of
Gaussians give responsibilities and the second moments :math:`V = \sum r v v^\top`, in which all sums are,

.. math:: G = \begin{pmatrix} N & \cdot \\ \sum r (z - c) & V_{zz} \end{pmatrix}, \qquad
    S = V_{yy} - 2 b \cdot V_{zy} + b^\top V_{zz} b .

S is a difference: of a target that the covariates explain almost wholly it has lost its digits. Then rows are read
again and residuals are summed.
"""

from __future__ import annotations

import math
from typing import TYPE_CHECKING

import torch
from torch import Tensor

from ... import kernels
from ..base import Labels
from ..statistics import Statistics

if TYPE_CHECKING:
    from .linear import LinearRegression

__all__ = ["passed"]

_HALF_LOG_TWO_PI = 0.5 * math.log(2 * math.pi)
_LOST = 1e-7  # the share of the target's squares below which those of residuals are looked at one by one


def passed(
    lines: LinearRegression, logits: Tensor, x: Tensor, weight: Tensor | None, labels: Labels
) -> Statistics | None:
    """Returns the sums of rows ``(N, D)`` by one pass, or none where they have lost their digits."""
    rows = x if lines.target == x.shape[1] - 1 else x[:, [*lines.covariates, lines.target]]
    sums = kernels.sums(_plan(lines, logits, labels), rows, weight)
    batch = lines.batch_shape
    shift, second = sums.shift.reshape(*batch, -1).double(), sums.scatter.reshape(*batch, x.shape[1], -1).double()
    mass, slope = sums.weight.reshape(batch).double(), lines.coefficients.double()
    cross, inner = second[..., :-1, -1], second[..., :-1, :-1]
    explained = (inner @ slope.unsqueeze(-1)).squeeze(-1)
    square = second[..., -1, -1] - (slope * (2 * cross - explained)).sum(-1)
    if not bool((square > _LOST * second[..., -1, -1]).all()):
        return None
    gram, pull = inner, cross - explained
    if lines.constant:
        whole = shift[..., -1] - (slope * shift[..., :-1]).sum(-1)
        pull = torch.cat([whole.unsqueeze(-1), pull], -1)
        gram = _bordered(mass, shift[..., :-1], inner)
    return Statistics(sums.log_likelihood.reshape(batch[:-1]), mass, (gram, pull, square))


def _plan(lines: LinearRegression, logits: Tensor, labels: Labels) -> kernels.Plan:
    """What Gaussians are to sum; the batch becomes restarts."""
    level = lines.effect[..., :1] if lines.constant else torch.zeros_like(lines.effect[..., :1])
    last = torch.cat([-lines.coefficients, torch.ones_like(level)], -1) / lines.scale.unsqueeze(-1)
    factor = torch.zeros(*last.shape, last.shape[-1], dtype=last.dtype, device=last.device)
    factor[..., -1, :] = last
    mean, constants = torch.cat([lines.centre, level], -1), logits - lines.scale.log() - _HALF_LOG_TWO_PI
    count = lines.batch_shape[-1]
    flat = mean.reshape(-1, count, mean.shape[-1]), factor.reshape(-1, count, *factor.shape[-2:])
    return kernels.Plan(kernels.FULL, *flat, constants.reshape(-1, count), labels)


def _bordered(mass: Tensor, shift: Tensor, inner: Tensor) -> Tensor:
    """The matrix of inner products of a column of ones and others."""
    top = torch.cat([mass.unsqueeze(-1), shift], -1).unsqueeze(-2)
    return torch.cat([top, torch.cat([shift.unsqueeze(-1), inner], -1)], -2)
