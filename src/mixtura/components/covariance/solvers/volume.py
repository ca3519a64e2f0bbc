r"""Shared volumes and shapes: minima of :math:`\sum_k n_k [\log|\Sigma_k| + \mathrm{tr}(\Sigma_k^{-1} C_k)]`.

For diagonal :math:`\Sigma_k = \lambda_k A` the sum is convex in :math:`\log\lambda_k` and :math:`\log A`, and for
:math:`\Sigma_k = \lambda_k C` with a matrix C along geodesics: setting one part's gradient to zero after the other's,

.. math:: A \propto \sum_k n_k C_k / \lambda_k, \qquad \lambda_k = \mathrm{tr}(A^{-1} C_k) / D,

leads to the only minimum (Celeux and Govaert, 1995, "Gaussian parsimonious clustering models"). Inside an EM, where
each M-step starts from the volumes of the one before, a few such turns are enough: none of them raises the sum
(generalised EM; Dempster, Laird and Rubin, 1977), and the end is the same.
"""

from __future__ import annotations

import torch
from torch import Tensor

__all__ = ["equal_matrix", "equal_shape", "equal_volume", "geometric_mean", "mean_variance", "pooled"]

_STEPS = 500
_FEW = 2  # from given volumes
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


def equal_shape(weight: Tensor, axes: Tensor, volume: Tensor | None) -> Tensor:
    r"""Returns :math:`\lambda_k A` for diagonal moments ``(*B, K, D)``, a few steps from volumes ``(*B, K)`` if any."""
    found = axes.mean(-1) if volume is None else volume
    for _ in range(_STEPS if volume is None else _FEW):
        shape = pooled(weight / found, axes)
        shape = shape / geometric_mean(shape).unsqueeze(-1)
        found, last = (axes / shape.unsqueeze(-2)).mean(-1), found
        if volume is None and _settled(found, last):
            break
    return found.unsqueeze(-1) * shape.unsqueeze(-2)


def equal_matrix(weight: Tensor, moment: Tensor, volume: Tensor | None) -> tuple[Tensor, Tensor]:
    r"""Returns :math:`\lambda_k` and C for moments ``(*B, K, D, D)``, a few steps from volumes ``(*B, K)`` if any."""
    found = mean_variance(moment) if volume is None else volume
    for _ in range(_STEPS if volume is None else _FEW):
        shape = pooled(weight / found, moment.flatten(-2)).unflatten(-1, moment.shape[-2:])
        inverse = torch.linalg.inv_ex(shape).inverse  # a singular matrix is a collapse, judged elsewhere: no error here
        found, last = (moment * inverse.unsqueeze(-3)).sum((-2, -1)) / moment.shape[-1], found
        if volume is None and _settled(found / found[..., :1], last / last[..., :1]):
            break
    return found, shape


def mean_variance(covariance: Tensor) -> Tensor:
    """Returns the mean of the diagonals of matrices: the volumes, where shapes are equal, up to a common factor."""
    return covariance.diagonal(dim1=-2, dim2=-1).mean(-1)


def _settled(new: Tensor, old: Tensor) -> bool:
    """Whether nothing changes any more; numbers that are not finite never will."""
    return not bool(((new - old).abs() > _PRECISE * new.abs()).any())
