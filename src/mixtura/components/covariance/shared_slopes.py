r"""Slopes of covariances whose components share a volume, a shape or an orientation, and steps, in their own axes.

With :math:`\Sigma_k = Q_k\,\mathrm{diag}(\lambda_k)\,Q_k^\top`, local coordinates say how scales grow and axes turn,

.. math:: \tfrac12\log\lambda'_{kd} = \tfrac12\log\lambda_{kd} + u_k + a_{kd} - \bar a_k, \qquad
    Q'_k = Q_k e^{\Omega_k},\quad \Omega_k^\top = -\Omega_k,

with one u, one a or one :math:`\Omega` where components share volume, shape or orientation. With the second moments in
these axes, :math:`M_k = \Lambda_k^{-1/2} Q_k^\top S_k Q_k \Lambda_k^{-1/2}`, the log-likelihood has the slopes
:math:`\mathrm{tr}\,M_k - N_k D` in u, :math:`M_{k,dd}` less its mean over d in a, and

.. math:: \frac{\partial\ell}{\partial\Omega_{k,ij}} = c_{k,ij} M_{k,ij}, \qquad
    c_{k,ij} = \frac{\lambda_{kj} - \lambda_{ki}}{\sqrt{\lambda_{ki}\lambda_{kj}}} \quad (i < j).

Rows as drawn bend it by :math:`2 N_k D`, by :math:`2 N_k` and by :math:`N_k c_{k,ij}^2`, so turns are counted in units
of 1/c; but where a covariance is nearly round it hardly matters where its axes are, and no unit is longer than ten.
"""

from __future__ import annotations

from collections.abc import Sequence

import torch
from torch import Tensor

__all__ = ["moved", "slopes"]

_LEAST = 0.1  # of the ratio c by which turns are counted


def slopes(
    varies: Sequence[bool | None], axes: Tensor, variances: Tensor, weight: Tensor, moment: Tensor
) -> tuple[Tensor, Tensor]:
    """Returns slopes and bends ``(B, F)``.

    Arguments:
        varies: Whether volume, shape and orientation differ between components; an orientation of none stays.
        axes: The axes as columns, ``(B, K or 1, D, D)``.
        variances: The variances along them, ``(B, K, D)``.
        weight: The sums of responsibilities, ``(B, K)``.
        moment: The second moments about the means, ``(B, K, D, D)``.
    """
    volume, shape, orientation = varies
    inner = axes.mT @ moment @ axes / (variances.unsqueeze(-1) * variances.unsqueeze(-2)).sqrt()
    rows = weight.unsqueeze(-1)
    growth, features = inner.diagonal(dim1=-2, dim2=-1) - rows, variances.shape[-1]
    parts = [
        (_summed(growth.sum(-1, keepdim=True), volume), _summed(2 * features * rows, volume)),
        (_summed(_centred(growth), shape), _summed((2 * rows).expand_as(growth), shape)),
    ]
    if orientation is not None:
        first, second = torch.triu_indices(features, features, 1)
        apart, unit = _apart(variances), _units(variances, orientation)
        turn = _summed(inner[..., first, second] * apart, orientation) / unit
        parts.append((turn, _summed(rows * apart.square().clamp_min(_LEAST**4), orientation) / unit.square()))
    slope, bend = (torch.cat([part.flatten(1) for part in one], 1) for one in zip(*parts, strict=True))
    return slope, bend


def moved(varies: Sequence[bool | None], axes: Tensor, variances: Tensor, step: Tensor) -> tuple[Tensor, Tensor]:
    """Returns axes and variances after steps ``(B, F)``."""
    volume, shape, orientation = varies
    batch, count, features = variances.shape
    sizes = count if volume else 1, features * (count if shape else 1)
    wider, longer, turn = step.tensor_split([sizes[0], sum(sizes)], 1)
    growth = wider.reshape(batch, -1, 1) + _centred(longer.reshape(batch, -1, features))
    variances, unit = variances * (2 * growth).exp(), None if orientation is None else _units(variances, orientation)
    return axes if unit is None else axes @ _turned(turn.reshape(unit.shape) / unit, features), variances


def _turned(angles: Tensor, features: int) -> Tensor:
    """The rotations of angles ``(B, K or 1, D (D - 1) / 2)``."""
    first, second = torch.triu_indices(features, features, 1)
    turn = angles.new_zeros(*angles.shape[:-1], features, features)
    turn[..., first, second] = angles
    return torch.linalg.matrix_exp(turn - turn.mT)


def _apart(variances: Tensor) -> Tensor:
    """The ratios c of pairs of axes, ``(B, K, D (D - 1) / 2)``."""
    first, second = torch.triu_indices(variances.shape[-1], variances.shape[-1], 1)
    one, other = variances[..., first], variances[..., second]
    return (other - one) / (one * other).sqrt()


def _units(variances: Tensor, orientation: bool) -> Tensor:
    """By what turns are counted, ``(B, K or 1, D (D - 1) / 2)``."""
    squares = _apart(variances).square()
    return (squares if orientation else squares.mean(1, keepdim=True)).sqrt().clamp_min(_LEAST)


def _summed(parts: Tensor, apart: bool | None) -> Tensor:
    """Parts ``(B, K, F)``, or one for all components."""
    return parts if apart else parts.sum(1, keepdim=True)


def _centred(parts: Tensor) -> Tensor:
    return parts - parts.mean(-1, keepdim=True)
