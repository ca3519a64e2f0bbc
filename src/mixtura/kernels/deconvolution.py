r"""The E-step of extreme deconvolution in one compiled pass: rows that each have their own noise.

For every row n and component k of :math:`T_{nk} = V_k + S_n`, with :math:`L L^\top = T`, :math:`X = L^{-1}`,

.. math:: z = X (y_n - \mu_k), \quad q = X^\top z, \quad T^{-1} = X^\top X, \quad
    \log p_{nk} = \log w_k - \tfrac12 |z|^2 + \sum_i \log X_{ii} - \tfrac D2 \log 2\pi,

and the sums :math:`\sum r q` and :math:`\sum r (q q^\top - T^{-1})` of `mixtura.observation.linear`. A coordinate that
was not recorded has infinite noise: its :math:`X_{ii}` is zero and it drops out by itself.

The torch expressions of `mixtura.observation.linear` are the reference; this pass serves float32 and float64 rows on a
CPU with soft labels, and is tested against them.
"""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor
from functools import lru_cache
from types import ModuleType
from typing import NamedTuple

import numpy as np
import torch
from torch import Tensor

from ..components import Labels, Structure
from . import soft

__all__ = ["ScoreSums", "fits", "sums"]

_WORTH = 20_000  # rows times components, from which importing numba pays
_GRAIN = 100_000  # rows times components worth another thread: half a millisecond
_MOST_FEATURES = 24  # beyond, batched Cholesky is as fast


class ScoreSums(NamedTuple):
    """Log-likelihood ``(*B)``, responsibilities ``(*B, K)``, and the sums u ``(*B, K, D)`` and Q ``(*B, K, D, D)``."""

    log_likelihood: Tensor
    weight: Tensor
    first: Tensor
    second: Tensor


def fits(
    matrix: Tensor | None, noise: Tensor, offset: Tensor, structure: Structure, logits: Tensor, labels: Labels
) -> bool:
    """Whether the compiled pass serves these rows and is worth its import."""
    if matrix is not None or noise.shape[1] != 1 or offset.shape[1] != 1 or labels is not soft:
        return False
    if noise.device.type != "cpu" or noise.dtype not in (torch.float32, torch.float64):
        return False
    rows = max(len(noise), len(offset))
    return offset.shape[-1] <= _MOST_FEATURES and rows * logits.numel() >= _WORTH and compiled() is not None


@lru_cache
def compiled() -> ModuleType | None:
    """The compiled pass, or None where numba is missing or cannot compile here."""
    try:
        from numba import config

        from .numba import deconvolution_loops as deconvolve_kernel
    except ImportError:
        return None
    return None if vars(config)["DISABLE_JIT"] else deconvolve_kernel


@torch.no_grad()
def sums(
    mean: Tensor, covariance: Tensor, logits: Tensor, y: Tensor, noise: Tensor, weight: Tensor | None
) -> ScoreSums:
    """Returns the sums over rows.

    Arguments:
        mean: The means, with shape ``(*B, K, D)``.
        covariance: The covariances, with shape ``(*B, K, D, D)``.
        logits: The log-weights, with shape ``(*B, K)``.
        y: The rows ``(N, D)``, less the mean error, NaN where nothing was recorded.
        noise: The variances ``(N or 1, D)`` or covariances ``(N or 1, D, D)`` of the errors.
        weight: The row weights, or none for ones.
    """
    batch, (components, features) = mean.shape[:-2], mean.shape[-2:]
    rows = y.shape[0]
    spread = _with_gaps(noise.expand(rows, *noise.shape[1:]), y).reshape(rows, -1)
    centre = mean.double().reshape(-1, features).mean(0)
    filled = (y - centre.to(y.dtype)).nan_to_num(0.0)
    arrays = (filled, spread.contiguous(), y.new_ones(rows) if weight is None else weight.to(y.dtype))
    parameters = (
        (mean.double() - centre).to(y.dtype).reshape(-1, features).contiguous(),
        covariance.reshape(-1, features, features).contiguous(),
        logits.to(y.dtype).reshape(-1).contiguous(),
    )
    out = _in_threads([a.numpy() for a in arrays], [p.reshape(-1).numpy() for p in parameters], components, features)
    log_likelihood, mass, first, lower = (torch.from_numpy(array) for array in out)
    second = lower.new_zeros(*lower.shape[:-1], features, features)
    i, j = torch.tril_indices(features, features)
    second[..., i, j] = lower
    second[..., j, i] = lower
    shape = (*batch, components)
    return ScoreSums(
        log_likelihood.reshape(batch),
        mass.reshape(shape),
        first.reshape(*shape, -1),
        second.reshape(*shape, features, features),
    )


def _with_gaps(noise: Tensor, y: Tensor) -> Tensor:
    """Infinite noise, tied to no other coordinate, where nothing was recorded."""
    absent = y.isnan()
    if not bool(absent.any()):
        return noise
    if noise.ndim == 2:
        return noise.masked_fill(absent, torch.inf)
    apart = absent.unsqueeze(-1) | absent.unsqueeze(-2)
    return torch.where(apart, torch.diag_embed(absent * torch.inf).nan_to_num(0.0, posinf=torch.inf), noise)


def _in_threads(
    arrays: list[np.ndarray], parameters: list[np.ndarray], components: int, features: int
) -> list[np.ndarray]:
    """The sums of equal shares of the rows, each in its own thread, added in order."""
    kernel = compiled()
    assert kernel is not None
    rows, entries = len(arrays[0]), len(parameters[2])
    workers = max(1, min(torch.get_num_threads(), rows * entries // _GRAIN))
    edges = [rows * i // workers for i in range(workers + 1)]

    def work(begin: int, end: int) -> list[np.ndarray]:
        batch = entries // components
        lower = features * (features + 1) // 2
        shapes = ((batch,), (batch, components), (batch, components, features), (batch, components, lower))
        out = [np.zeros(shape) for shape in shapes]
        kernel.deconvolve(*arrays, begin, end, *parameters, components, features, *out)
        return out

    if workers == 1:
        return work(0, rows)
    with ThreadPoolExecutor(workers - 1) as pool:
        later = pool.map(work, edges[1:-1], edges[2:])
        parts = [work(0, edges[1]), *later]
    return [np.sum(field, axis=0) for field in zip(*parts, strict=True)]
