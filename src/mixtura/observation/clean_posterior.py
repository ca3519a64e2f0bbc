r"""The law of a clean row given its record, :math:`y = A x + b + \varepsilon`: once a measurement, not once a row.

Covariances, gains and normalisers do not depend on y. They are computed once for each distinct measurement and
component: once where all rows share their errors, once for each pattern of gaps, and once a row only where every row
has errors of its own. The posterior of many rows under one measurement holds one covariance a component, which its
batch repeats without a copy.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import torch
from torch import Tensor

from ..components import Gaussian
from ..components.covariance.posterior import Gain, Measurement
from ..components.gaussian_algebra import expanded
from .base import aligned
from .gaps import patterns

if TYPE_CHECKING:
    from .linear import Linear

__all__ = ["clean_posterior"]

_BLOCK = 2**19  # numbers of the block of rows that is worked on at a time


def clean_posterior(observation: Linear, gaussian: Gaussian, y: Tensor) -> tuple[Tensor, Gaussian]:
    """Returns log p(y|k) of rows ``(*S, *B, M)``, with shape ``(*S, *B, K)``, and the posterior components."""
    batch = gaussian.batch_shape[:-1]
    y = y.expand(*torch.broadcast_shapes(y.shape[:-1], batch), y.shape[-1])
    if not (observation.gaps and bool(y.isnan().any())):
        return _known(observation, gaussian, y, None)
    if observation.side or batch:
        return _known(observation, gaussian, y.nan_to_num(0.0), y.isnan())
    return _by_pattern(observation, gaussian, y.nan_to_num(0.0), y.isnan())


def _known(observation: Linear, gaussian: Gaussian, y: Tensor, absent: Tensor | None) -> tuple[Tensor, Gaussian]:
    """One measurement for all rows, or one for each."""
    measurement = _measurement(observation, gaussian, absent)
    structure, gain = gaussian.structure.posterior(measurement, gaussian.features)
    rows = y.unsqueeze(-2) - aligned(observation.offset, gaussian)
    if observation.side or absent is not None:
        evidence, mean = gain.explain(rows, gaussian.location)
    else:
        evidence, mean = _in_blocks(gain, rows, gaussian.location, None)
    return evidence, Gaussian._of(location=mean, structure=expanded(structure, mean.shape[:-2]))


def _by_pattern(observation: Linear, gaussian: Gaussian, y: Tensor, absent: Tensor) -> tuple[Tensor, Gaussian]:
    """One measurement for each pattern of gaps."""
    distinct, index = patterns(absent.reshape(-1, absent.shape[-1]))
    structure, gain = gaussian.structure.posterior(_measurement(observation, gaussian, distinct), gaussian.features)
    rows = y.unsqueeze(-2) - aligned(observation.offset, gaussian)
    evidence, mean = _in_blocks(gain, rows, gaussian.location, index)
    where = index.reshape(y.shape[:-1])
    return evidence, Gaussian._of(location=mean, structure=structure.map(lambda tensor: tensor[where]))


def _measurement(observation: Linear, gaussian: Gaussian, absent: Tensor | None) -> Measurement:
    return Measurement._of(
        matrix=None if observation.matrix is None else aligned(observation.matrix, gaussian),
        noise=aligned(observation.noise, gaussian),
        diagonal=observation.diagonal,
        absent=None if absent is None else absent.unsqueeze(-2),
    )


def _in_blocks(gain: Gain, rows: Tensor, mean: Tensor, index: Tensor | None) -> tuple[Tensor, Tensor]:
    """What the gain makes of rows ``(*S, *B, 1 or K, M)``, in blocks; ``index`` tells each one's entry in the gain."""
    outer = rows.ndim - mean.ndim
    flat = rows.reshape(-1, *rows.shape[outer:])
    leading = torch.broadcast_shapes(rows.shape[outer:-1], mean.shape[:-1])
    evidence, found = mean.new_empty(len(flat), *leading), mean.new_empty(len(flat), *leading, mean.shape[-1])
    height = max(1, _BLOCK // (leading.numel() * max(rows.shape[-1], mean.shape[-1])))
    for start in range(0, len(flat), height):
        some = slice(start, start + height)
        one = gain if index is None else gain.at(index[some])
        evidence[some], found[some] = one.explain(flat[some], mean)
    shape = rows.shape[:outer] + leading
    return evidence.reshape(shape), found.reshape(*shape, -1)
