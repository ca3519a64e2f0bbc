r"""Gaussian vectors known to lie in boxes of one size that are narrow beside their scales: rounded and binned rows.

The density hardly bends in such a box, so a few Gauss-Legendre nodes in each coordinate integrate it. With
:math:`z = L^{-1}(m - \mu)` for the middle m of a row's box and :math:`s_p = L^{-1}(h t_p)` for the nodes, which are the
same for all rows,

.. math:: -\tfrac12|z + s_p|^2 = -\tfrac12|z|^2 - z\cdot s_p - \tfrac12|s_p|^2 ,

so a pass is three matrix products: the exponents, and their shares times :math:`s_p` and :math:`s_p s_p^\top`.
"""

from __future__ import annotations

import math
from functools import lru_cache

import numpy as np
import torch
from torch import Tensor

__all__ = ["MOST", "nodes", "product", "sides"]

MOST = 1024  # nodes
_SIDES, _LARGEST = ((0.4, 4), (1.0, 6), (2.0, 8), (5.0, 16)), 32  # widths of intervals below which so many nodes serve


def sides(width: float) -> int:
    """Returns how many nodes serve an interval of that width, in scales of its coordinate."""
    return next((count for most, count in _SIDES if width < most), _LARGEST)


@lru_cache
def product(side: int, dimensions: int) -> tuple[Tensor, Tensor]:
    """Returns nodes ``(P, d)`` between -1 and 1, and the logarithms of each coordinate's weight, which sum to 2."""
    place, weight = np.polynomial.legendre.leggauss(side)
    return _grid(place, dimensions), _grid(np.log(weight), dimensions)


def _grid(values: np.ndarray, dimensions: int) -> Tensor:
    every = np.meshgrid(*[values] * dimensions)
    return torch.as_tensor(np.stack([one.ravel() for one in every], -1) if dimensions else np.zeros((1, 0)))


def nodes(factor: Tensor, low: Tensor, high: Tensor, side: int) -> tuple[Tensor, Tensor, Tensor]:
    """Returns log probability, mean and mean outer product of zero-mean Gaussians in boxes ``(n, K, d)`` of one size.

    Arguments:
        factor: Cholesky factors, with shape ``(1, K, d, d)``.
        low: The lower limits.
        high: The upper limits.
        side: The number of nodes in each coordinate.
    """
    place, log_weight = (one.to(low) for one in product(side, low.shape[-1]))
    half, lower = (high - low)[0, 0] / 2, factor[0]
    z = torch.linalg.solve_triangular(lower, ((low + high) / 2).permute(1, 2, 0), upper=False)  # (K, d, n)
    s = torch.linalg.solve_triangular(lower, (half * place).mT.expand(len(lower), -1, -1), upper=False)  # (K, d, P)
    constant = log_weight.sum(-1) - 0.5 * s.square().sum(-2)  # (K, P)
    exponent = constant.unsqueeze(-2) - z.mT @ s  # (K, n, P)
    peak = exponent.detach().amax(-1, keepdim=True)
    share = exponent.sub_(peak).exp_()
    total = share.sum(-1, keepdim=True)
    inside = peak + total.log()
    size = half.log().sum() - lower.diagonal(dim1=-2, dim2=-1).log().sum(-1, keepdim=True)
    density = -0.5 * z.square().sum(-2) - 0.5 * low.shape[-1] * math.log(2 * math.pi)
    return ((inside.squeeze(-1) + density + size).mT, *_moments(lower, z, s, share, total))


def _moments(lower: Tensor, z: Tensor, s: Tensor, share: Tensor, total: Tensor) -> tuple[Tensor, Tensor]:
    """Mean and mean outer product of L (z + s) by shares of a total, ``(n, K, d)`` and ``(n, K, d, d)``."""
    mean = share @ s.mT / total  # (K, n, d)
    squares = (s.unsqueeze(-2) * s.unsqueeze(-3)).flatten(1, 2)  # (K, d d, P)
    second = (share @ squares.mT / total).unflatten(-1, lower.shape[-2:])
    z = z.mT
    cross = z.unsqueeze(-1) * mean.unsqueeze(-2)
    second = second + cross + cross.mT + z.unsqueeze(-1) * z.unsqueeze(-2)
    factor = lower.unsqueeze(1)
    first = ((z + mean) @ lower.mT).transpose(0, 1)
    return first, (factor @ second @ factor.mT).transpose(0, 1)
