r"""Axes that several covariances have in common.

For :math:`\Sigma_k = Q D_k Q^\top` with diagonal :math:`D_k`, two steps lower
:math:`\sum_k n_k [\log|\Sigma_k| + \mathrm{tr}(\Sigma_k^{-1} C_k)]` in turn: the best :math:`D_k` given the diagonals
of :math:`T_k = Q^\top C_k Q`, and rotations of Q in the plane of two of its columns p and q, as in Flury and Gautschi
(1986). Given :math:`D_k`, the sum is, up to a constant, a quadratic form :math:`u^\top M u` in the unit vector u of the
new p-th axis in that plane, with

.. math:: M = \sum_k n_k \left(\frac1{d_{kp}} - \frac1{d_{kq}}\right)
    \begin{pmatrix} t_{kpp} & t_{kpq} \\ t_{kpq} & t_{kqq} \end{pmatrix},

whose minimum over the angle :math:`\theta` has :math:`\tan 2\theta = -2 M_{12} / (M_{22} - M_{11})`. Planes that share
no axis turn at once. The minimum is one of possibly several, so it is sought from the axes that the covariances have.
Inside an EM, where each M-step starts from those of the one before, a few sweeps are enough: none of them raises the
sum (generalised EM; Dempster, Laird and Rubin, 1977), and the end is the same.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator

import torch
from torch import Tensor

from ..columns import own_axes
from .volume import mean_variance

__all__ = ["common_axes"]

_SWEEPS = 100
_FEW = 2  # from given covariances
_PRECISE = 1e-9  # the angle of the last rotations, whose square is what the sum still lacks

Axes = Callable[[Tensor, Tensor], Tensor]
"""From weights ``(*B, K)`` and diagonals of :math:`T_k` to the best :math:`D_k`, both ``(*B, K, D)``."""


def common_axes(weight: Tensor, moment: Tensor, start: Tensor | None, best: Axes) -> tuple[Tensor, Tensor]:
    """Returns common axes ``(*B, D, D)`` and variances along them ``(*B, K, D)`` that match moments ``(*B, K, D, D)``.

    They are sought a few steps from those of covariances to start with, or to the end from those of the mean moment.
    """
    q = _start(weight, moment) if start is None else _start(1 / mean_variance(start), start)
    for _ in range(_SWEEPS if start is None else _FEW):
        q, angle = _sweep(weight, moment, q, best)
        if start is None and not angle.abs().max().item() > _PRECISE:
            break
    return q, best(weight, _along(moment, q))


def _start(weight: Tensor, moment: Tensor) -> Tensor:
    """The axes of the sum, which are those that matrices have in common."""
    return own_axes((weight[..., None, None] * moment).sum(-3))[0]


def _sweep(weight: Tensor, moment: Tensor, q: Tensor, best: Axes) -> tuple[Tensor, Tensor]:
    """Turns each pair of axes once; the largest angles ``(*B,)`` say how far from the minimum it was."""
    largest, t = q.new_zeros(q.shape[:-2]), _along(moment, q)
    for p, o in _rounds(q.shape[-1]):
        across = _across(moment, q, p, o)
        angle = _angle(weight, t, across, best(weight, t), p, o)
        q, t = _turn(q, t, across, angle, p, o)
        largest = torch.maximum(largest, (2 * angle).sin().abs().amax(-1))
    return q, largest


def _angle(weight: Tensor, t: Tensor, across: Tensor, d: Tensor, p: Tensor, o: Tensor) -> Tensor:
    pull = weight.unsqueeze(-1) * (1 / d[..., p] - 1 / d[..., o])
    first, second, cross = ((pull * one).sum(-2) for one in (t[..., p], t[..., o], across))
    angle = 0.5 * torch.atan2(-2 * cross, second - first)
    return angle.where((cross != 0) | (second < first), 0).nan_to_num(0.0)


def _turn(q: Tensor, t: Tensor, across: Tensor, angle: Tensor, p: Tensor, o: Tensor) -> tuple[Tensor, Tensor]:
    """Turns pairs of axes, and the diagonals of T with them."""
    c, s = angle.cos().unsqueeze(-2), angle.sin().unsqueeze(-2)
    one, other, first, second = q[..., p], q[..., o], t[..., p], t[..., o]
    mixed, both = 2 * c * s * across, torch.cat((p, o)).to(q.device)
    turned = torch.cat((c * one + s * other, c * other - s * one), -1)
    squares = c.square() * first + mixed + s.square() * second, s.square() * first - mixed + c.square() * second
    return q.index_copy(-1, both, turned), t.index_copy(-1, both, torch.cat(squares, -1))


def _rounds(features: int) -> Iterator[tuple[Tensor, Tensor]]:
    """Every pair of axes once, in rounds of pairs without a common axis: a tournament in a circle."""
    players = list(range(features + features % 2))
    half = len(players) // 2
    for _ in players[1:] if features > 1 else ():
        pairs = [p for p in zip(players[:half], reversed(players[half:]), strict=True) if max(p) < features]
        yield torch.tensor([p for p, _ in pairs]), torch.tensor([o for _, o in pairs])
        players = [players[0], players[-1], *players[1:-1]]


def _along(moment: Tensor, q: Tensor) -> Tensor:
    """The diagonals of :math:`T_k`, ``(*B, K, D)``."""
    every = torch.arange(q.shape[-1])
    return _across(moment, q, every, every)


def _across(moment: Tensor, q: Tensor, p: Tensor, o: Tensor) -> Tensor:
    """Entries of :math:`T_k`, one for each pair of axes, ``(*B, K, pairs)``; all moments in one product."""
    stacked = moment.flatten(-3, -2) @ q[..., o]
    return (q[..., p].unsqueeze(-3) * stacked.unflatten(-2, moment.shape[-3:-1])).sum(-2)
