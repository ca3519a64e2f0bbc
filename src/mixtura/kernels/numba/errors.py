"""The pass for rows that each have their own errors, through the compiled loops of extreme deconvolution."""

from __future__ import annotations

from collections.abc import Callable
from typing import cast

import numpy as np
import torch
from torch import Tensor

from ..errors_by_row import RowErrors
from ..plan import Plan
from ..sums import Sums
from ..threads import in_threads, workers
from .deconvolution_loops import deconvolve, tiles_for
from .deconvolution_plane import deconvolve_plane
from .layouts import Array

__all__ = ["sums"]

_GRAIN = 100_000  # rows times components worth another thread: half a millisecond


def sums(plan: Plan, y: Tensor, weight: Tensor | None) -> Sums:
    """The sums of `RowErrors`."""
    noise = cast(RowErrors, plan.extra).noise
    rows, (components, features) = y.shape[0], plan.mean.shape[1:]
    spread = noise.to(y.dtype).expand(rows, *noise.shape[1:])
    centre = plan.mean.double().reshape(-1, features).mean(0).to(y.dtype)
    filled, absent = y - centre, y.isnan()
    if bool(absent.any()):
        filled, spread = filled.masked_fill(absent, 0.0), _with_gaps(spread, absent)
    shares = y.new_ones(rows) if weight is None else weight.to(y.dtype)
    arrays = tuple(a.contiguous().numpy().reshape(-1) for a in (filled, spread, shares))
    parameters = (plan.mean.double() - centre.double()).to(y.dtype), plan.factors.to(y.dtype), plan.logits.to(y.dtype)
    flat = tuple(p.reshape(-1).contiguous().numpy() for p in parameters)
    loop = deconvolve_plane if _in_closed_form(filled, spread) else deconvolve
    found = _in_shares(loop, arrays, flat, plan.restarts, components, features)
    likelihood, mass, first, lower = (torch.from_numpy(array) for array in found)
    second = lower.new_zeros(*lower.shape[:-1], features, features)
    i, j = torch.tril_indices(features, features)
    second[..., i, j] = lower
    second[..., j, i] = lower
    return Sums(likelihood, mass, first, second)


def _in_closed_form(y: Tensor, spread: Tensor) -> bool:
    """Whether rows are of two coordinates, all recorded, in a precision that has room for products of variances."""
    return y.shape[1] == 2 and y.dtype == torch.float64 and bool(spread.amax() < torch.inf)


def _with_gaps(noise: Tensor, absent: Tensor) -> Tensor:
    """Infinite noise, tied to no other coordinate, where nothing was recorded."""
    if noise.ndim == 2:
        return noise.masked_fill(absent, torch.inf)
    apart = absent.unsqueeze(-1) | absent.unsqueeze(-2)
    return torch.where(apart, torch.diag_embed(absent * torch.inf).nan_to_num(0.0, posinf=torch.inf), noise)


def _in_shares(
    loop: Callable[..., None],
    arrays: tuple[Array, ...],
    parameters: tuple[Array, ...],
    restarts: int,
    components: int,
    features: int,
) -> list[Array]:
    """The sums of equal shares of the rows, each in its own thread, added in order."""
    lower = features * (features + 1) // 2
    shapes = (), (components,), (components, features), (components, lower)

    def run(begin: int, end: int) -> list[Array]:
        out = [np.zeros((restarts, *shape)) for shape in shapes]
        tiles = tiles_for(components, features, arrays[0].dtype)
        arguments = (*arrays, begin, end, *parameters, components, features, tiles, *out)
        loop(*arguments)
        return out

    rows = len(arrays[2])
    parts = in_threads(run, rows, workers(rows * restarts * components, _GRAIN))
    return parts[0] if len(parts) == 1 else [np.sum(field, axis=0) for field in zip(*parts, strict=True)]
