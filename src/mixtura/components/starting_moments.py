r"""Where Gaussians and their relatives start, from a first guess of responsibilities.

Means are those of the responsibilities; all components share the pooled covariance of the rows about them, blended with
a little of the whole data's, which is never singular where the data are not, and no wider than some hundred times their
spread about the means: a single row a million scales away would else make all components alike.
"""

from __future__ import annotations

import torch
from torch import Tensor

from .covariance.structure import Structure

__all__ = ["starting_moments"]

_BLEND = 0.01  # how much of the total covariance is mixed into the first guess
_WIDEST = 1e4  # times the variance within components: the most that the total one counts


def starting_moments(structure: Structure, x: Tensor, r: Tensor) -> tuple[Tensor, Structure]:
    """Returns the centres of responsibilities ``(N, B, K)`` of rows ``(N, D)``, and the structure about them.

    Moments are in double precision, for columns may differ in size by more than single precision has digits.
    """
    dtype, x, r = x.dtype, x.double(), r.double()
    weight = r.sum(0)
    origin = x.mean(0)
    mean = torch.einsum("nbk,nd->bkd", r, x - origin) / weight.clamp_min(torch.finfo(x.dtype).tiny).unsqueeze(-1)
    pooled = _pooled(x - origin, r, mean)
    one = 1 if structure.tied else mean.shape[-2]
    shared = pooled.unsqueeze(-3).expand(-1, one, -1, -1)
    return (mean + origin).to(dtype), structure.with_covariance(shared).to(dtype)


def _pooled(x: Tensor, r: Tensor, mean: Tensor) -> Tensor:
    """Returns the covariance about the centres, pooled over components, with shape ``(B, D, D)``."""
    row_weight = r.sum(-1)
    total = row_weight.sum(0)[:, None, None]
    middle = torch.einsum("nb,nd->bd", row_weight, x) / total.squeeze(-1)
    gap = x.unsqueeze(1) - middle
    whole = torch.einsum("nb,nbi,nbj->bij", row_weight, gap, gap) / total
    lag = mean - middle.unsqueeze(-2)
    between = torch.einsum("bk,bki,bkj->bij", r.sum(0), lag, lag) / total
    within = whole - between
    return (1 - _BLEND) * within + _BLEND * _tempered(whole, within)


def _tempered(whole: Tensor, within: Tensor) -> Tensor:
    """The covariance of all rows, with columns that are not far wider than within the components."""
    variance, most = (matrix.diagonal(dim1=-2, dim2=-1) for matrix in (whole, _WIDEST * within))
    shrink = torch.where((most > 0) & (variance > most), most / variance, 1).sqrt()
    return shrink.unsqueeze(-1) * whole * shrink.unsqueeze(-2)
