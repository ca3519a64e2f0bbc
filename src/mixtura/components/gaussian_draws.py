r"""Draws of Gaussians, :math:`\mu_z + L_z\epsilon`, for many labels z at once.

Where matrices differ, rows of one matrix are coloured together if there are many of each; the noise is independent of
the labels, so each matrix may take any stretch of it. Where there are many matrices, as in a batch, each row is
multiplied by its own.
"""

from __future__ import annotations

from collections.abc import Sequence

import torch
from torch import Tensor

from .covariance.structure import Structure

__all__ = ["colored", "flat_index"]

_CACHED = 2**16  # numbers of a block that stay in the cache
_GATHERED = 2**20  # numbers of matrices, one for each row, that are copied sooner than groups are told apart
_FACTORS = 256  # more matrices than this are multiplied row by row, not group by group


def flat_index(labels: Tensor, leading: Sequence[int]) -> Tensor:
    """Turns labels ``(*S, *B)`` into indices into a flattened ``(*B, K)``; sizes of one are shared."""
    *batch, components = leading
    index, stride = (labels if components > 1 else torch.zeros_like(labels)), components
    for behind, size in enumerate(reversed(batch)):
        entry = torch.arange(size, device=labels.device) * stride
        index, stride = index + entry.reshape(size, *(1,) * behind), stride * size
    return index


def colored(mean: Tensor, structure: Structure, means: Tensor, factors: Tensor, noise: Tensor) -> Tensor:
    """Returns the rows of noise ``(*S, *B, D)`` with the means and matrices that the flat indices ``(*S, *B)`` name."""
    mean, flat = mean.reshape(-1, mean.shape[-1]), noise.reshape(-1, noise.shape[-1])
    means, factors, count = means.reshape(-1), factors.reshape(-1), structure.leading.numel()
    if count == 1 and not structure.elementwise:
        return _alike(mean, structure, means, flat).reshape(noise.shape)
    few = len(means) <= 16 * count and len(means) * mean.shape[-1] ** 2 <= _GATHERED
    apart = structure.elementwise or count > _FACTORS or few
    return (_each if apart else _groups)(mean, structure, means, factors, flat).reshape(noise.shape)


def _alike(mean: Tensor, structure: Structure, means: Tensor, noise: Tensor) -> Tensor:
    out, height = torch.empty_like(noise), max(64, _CACHED // noise.shape[-1])
    for which, stretch, rows in zip(*(tensor.split(height) for tensor in (means, noise, out)), strict=True):
        torch.add(mean.index_select(0, which), structure.color_rows(0, stretch), out=rows)
    return out


def _each(mean: Tensor, structure: Structure, means: Tensor, factors: Tensor, noise: Tensor) -> Tensor:
    out = torch.empty_like(noise)
    height = max(64, _CACHED // max(noise.shape[-1], structure.given.numel() // max(1, structure.leading.numel())))
    blocks = (tensor.split(height) for tensor in (means, factors, noise, out))
    for which, factor, stretch, rows in zip(*blocks, strict=True):
        torch.add(mean.index_select(0, which), structure.color_rows(factor, stretch), out=rows)
    return out


def _groups(mean: Tensor, structure: Structure, means: Tensor, factors: Tensor, noise: Tensor) -> Tensor:
    out, counts = torch.empty_like(noise), torch.bincount(factors, minlength=structure.leading.numel()).tolist()
    order = factors.to(torch.uint8 if len(counts) <= 256 else torch.int32).argsort(stable=True)
    own = len(mean) == len(counts)  # a matrix for each mean
    for k, (rows, stretch) in enumerate(zip(order.split(counts), noise.split(counts), strict=True)):
        centre = mean[k] if own else mean.index_select(0, means[rows])
        out.index_copy_(0, rows, structure.color_rows(k, stretch).add_(centre))
    return out
