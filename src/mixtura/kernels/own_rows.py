r"""Rows that each have Gaussians of their own: squared lengths of whitened residuals, and the way back from them.

A factor is :math:`L = \mathrm{diag}(s)\,T` with ones on the diagonal of the triangle T, which is all of it where
coordinates are on their own. With :math:`y = (x - \mu)/s`,

.. math:: z = T^{-1} y, \qquad w = T^{-\top} z, \qquad q = |z|^2,

the log-density :math:`-\tfrac12 q - \sum_i \log s_i` has the slopes

.. math:: \partial\mu_i = \frac{w_i}{s_i}, \qquad \partial s_i = \frac{w_i y_i - 1}{s_i}, \qquad
    \partial T_{ij} = w_i z_j .

Numbers of one entry stand side by side for all components: means and scales are (N, D, K), T below its diagonal row by
row (N, D(D-1)/2, K), and with 1 in place of K scales and T are shared. So arithmetic on many small triangles is
arithmetic on long vectors, and each number is read once. Torch does it everywhere; compiled loops do on a CPU, a row at
a time. Residuals end where their products would overflow, and so do slopes: they are finite wherever the numbers are.
"""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor

from .compiled import compiled_module

__all__ = ["OwnRows", "Slopes", "distance", "slopes"]

_WORTH = 200_000  # operations: some tenths of a millisecond in torch
_TYPES = (torch.float32, torch.float64)
_FAR = 0.42  # the power of the largest number at which residuals end

Slopes = tuple[Tensor, Tensor, Tensor]
"""Slopes in means, scales and triangles."""


@dataclass(frozen=True, eq=False)
class OwnRows:
    """Rows, and the Gaussians of each.

    Attributes:
        x: The rows, (N, D).
        mean: (N, D, K).
        scale: (N, D, K), or (N, D, 1) where shared.
        below: (N, D(D-1)/2, K), or (N, D(D-1)/2, 1); (N, 0, 1) where coordinates are on their own.
    """

    x: Tensor
    mean: Tensor
    scale: Tensor
    below: Tensor

    @property
    def compiled(self) -> bool:
        """Whether compiled loops are there and worth while."""
        rows, features, components = self.mean.shape
        large = rows * components * features * (features + 4) >= _WORTH
        here = self.x.device.type == "cpu" and self.x.dtype in _TYPES
        return large and here and compiled_module("own_rows") is not None

    @property
    def depth(self) -> int:
        """The number of coordinates that depend on others: those of T."""
        return self.x.shape[-1] if self.below.shape[1] else 0

    @property
    def most(self) -> float:
        """Where residuals end, and the root of where slopes do."""
        return torch.finfo(self.x.dtype).max ** _FAR

    def row(self, i: int) -> Tensor:
        """One row of T below its diagonal, (N, i, K or 1)."""
        return self.below[:, i * (i - 1) // 2 : i * (i + 1) // 2]


def distance(own: OwnRows) -> Tensor:
    """Returns the squared lengths q, (N, K).

    Example:
        >>> x, mean, scale = torch.tensor([[3.0, 4.0]]), torch.zeros(1, 2, 1), torch.ones(1, 2, 1)
        >>> distance(OwnRows(x, mean, scale, torch.ones(1, 1, 1)))
        tensor([[10.]])
    """
    found = compiled_module("own_rows") if own.compiled else None
    return _solved(own)[1].square().sum(1) if found is None else found.distance(own)


def slopes(own: OwnRows, share: Tensor) -> Slopes:
    """Returns the slopes of the sum of log-densities that count as much as ``share`` (N, K) says."""
    found = compiled_module("own_rows") if own.compiled else None
    return _slopes(own, share) if found is None else found.slopes(own, share)


def _solved(own: OwnRows) -> tuple[Tensor, Tensor]:
    """The residuals in units of the scales, and whitened."""
    y = ((own.x.unsqueeze(-1) - own.mean) / own.scale).clamp_(-own.most, own.most)
    z = y.clone() if own.depth else y
    for i in range(1, own.depth):
        z[:, i] -= (own.row(i) * z[:, :i]).sum(1)
        z[:, i].clamp_(-own.most, own.most)
    return y, z


def _slopes(own: OwnRows, share: Tensor) -> Slopes:
    y, z = _solved(own)
    w, share = z.clone(), share.unsqueeze(1)
    for i in range(own.depth - 1, 0, -1):
        w[:, :i] -= own.row(i) * w[:, i : i + 1]
        w.clamp_(-own.most, own.most)
    w *= share
    triangle = [w[:, i : i + 1] * z[:, :i] for i in range(1, own.depth)]
    outer = torch.cat(triangle, 1) if triangle else own.below
    found = _shared(w / own.scale, own.mean), _shared((w * y - share) / own.scale, own.scale), _shared(outer, own.below)
    end = own.most**2
    return found[0].clamp_(-end, end), found[1].clamp_(-end, end), found[2].clamp(-end, end)


def _shared(each: Tensor, like: Tensor) -> Tensor:
    """Slopes summed over components where they share a number."""
    return each.sum(-1, keepdim=True) if like.shape[-1] != each.shape[-1] else each
