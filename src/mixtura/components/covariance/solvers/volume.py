r"""Shared volumes and shapes: minima of :math:`\sum_k n_k [\log|\Sigma_k| + \mathrm{tr}(\Sigma_k^{-1} C_k)]`.

For diagonal :math:`\Sigma_k = \lambda_k A` the sum is convex in :math:`\log\lambda_k` and :math:`\log A`, and for
:math:`\Sigma_k = \lambda_k C` with a matrix C along geodesics: setting one part's gradient to zero after the other's,

.. math:: A \propto \sum_k n_k C_k / \lambda_k, \qquad \lambda_k = \mathrm{tr}(A^{-1} C_k) / D,

leads to the only minimum (Celeux and Govaert, 1995, "Gaussian parsimonious clustering models").
"""

from __future__ import annotations

import torch
from torch import Tensor

__all__ = ["equal_matrix", "equal_shape", "equal_volume", "geometric_mean", "pooled"]

_STEPS = 500
_PRECISE = 1e-12  # the relative change of volumes at which to stop


def geometric_mean(axes: Tensor) -> Tensor:
    """Returns the geometric mean over the last dimension: the volume per feature."""
    return axes.log().mean(-1).exp()


def pooled(weight: Tensor, values: Tensor) -> Tensor:
    """Returns the weighted mean of ``(*B, K, D)`` over K."""
    share = weight / weight.sum(-1, keepdim=True)
    return (share.unsqueeze(-2) @ values).squeeze(-2)


def equal_volume(weight: Tensor, axes: Tensor) -> Tensor:
    r"""Returns :math:`\lambda A_k` for diagonal moments ``(*B, K, D)``: each one's own shape, and the mean volume."""
    volume = geometric_mean(axes).unsqueeze(-1)
    return axes * pooled(weight, volume).unsqueeze(-2) / volume


def equal_shape(weight: Tensor, axes: Tensor, start: Tensor | None) -> Tensor:
    r"""Returns :math:`\lambda_k A` for diagonal moments ``(*B, K, D)``."""
    volume = axes.mean(-1) if start is None else geometric_mean(start)
    for _ in range(_STEPS):
        shape = pooled(weight / volume, axes)
        shape = shape / geometric_mean(shape).unsqueeze(-1)
        volume, last = (axes / shape.unsqueeze(-2)).mean(-1), volume
        if _settled(volume, last):
            break
    return volume.unsqueeze(-1) * shape.unsqueeze(-2)


def equal_matrix(weight: Tensor, moment: Tensor, start: Tensor | None) -> tuple[Tensor, Tensor]:
    r"""Returns :math:`\lambda_k` and C for moments ``(*B, K, D, D)``."""
    whole = moment if start is None else start
    volume = whole.diagonal(dim1=-2, dim2=-1).mean(-1)
    for _ in range(_STEPS):
        shape = pooled(weight / volume, moment.flatten(-2)).unflatten(-1, moment.shape[-2:])
        inverse = torch.linalg.inv_ex(shape).inverse  # a singular matrix is a collapse, judged elsewhere: no error here
        volume, last = (moment * inverse.unsqueeze(-3)).sum((-2, -1)) / moment.shape[-1], volume
        if _settled(volume / volume[..., :1], last / last[..., :1]):
            break
    return volume, shape


def _settled(new: Tensor, old: Tensor) -> bool:
    """Whether nothing changes any more; numbers that are not finite never will."""
    return not bool(((new - old).abs() > _PRECISE * new.abs()).any())
