r"""The posterior's covariance by precisions, where single coordinates were recorded far better than they were known.

With :math:`V = L L^\top` and independent errors of variances s on coordinates,

.. math:: C^{-1} = V^{-1} + \mathrm{diag}(1/s), \qquad
    \begin{pmatrix} \mathrm{diag}(s^{-1/2}) \\ L^{-1} \end{pmatrix} = Q R, \qquad C = R^{-1} R^{-\top} .

`by_triangles` starts from scales, so that its rounding is that of the largest: a coordinate of scale 1e12 that was
recorded to 1e-12 would be left with the rounding of the 1e12. Here the largest number of a row is the sharp record
itself, and every pivot is the largest of its column or of the prior's own size.
"""

from __future__ import annotations

import torch
from torch import Tensor

from .measurement import Coordinates

__all__ = ["by_precisions", "is_sharp"]

_SHARP = 1e-4  # of the prior's variance


def is_sharp(prior: Tensor, measured: Coordinates) -> bool:
    """Whether some coordinates were recorded far better than the prior variances ``(*L, D)``, and none exactly."""
    noise = torch.where(measured.seen, measured.noise, prior).detach()
    return bool((noise > 0).all()) and bool((noise < _SHARP * prior).any())


def by_precisions(factor: Tensor, measured: Coordinates) -> Tensor:
    """Returns the posterior's Cholesky factors, from those of the prior ``(*L, D, D)``."""
    one = torch.eye(factor.shape[-1], dtype=factor.dtype, device=factor.device)
    weight = torch.where(measured.seen, measured.noise.rsqrt(), 0.0)
    known = torch.linalg.solve_triangular(factor, one, upper=False)
    leading = torch.broadcast_shapes(weight.shape[:-1], known.shape[:-2])
    parts = torch.diag_embed(weight.flip(-1)), known.flip(-1)  # the last coordinate first makes the factor lower
    stacked = torch.cat([part.expand(*leading, *part.shape[-2:]) for part in parts], -2)
    upper = torch.linalg.qr(stacked, "reduced" if stacked.requires_grad else "r").R
    upper = upper * torch.where(upper.diagonal(dim1=-2, dim2=-1) < 0, -1.0, 1.0).to(factor.dtype).unsqueeze(-1)
    return torch.linalg.solve_triangular(upper, one, upper=True).flip((-2, -1)).contiguous()
