r"""Gaussians of any structure on small tables: states and back, moves, spurious optima.

A component j becomes two at :math:`\mu_j \pm \tfrac12\sqrt\lambda\,v` along its principal axis (:math:`\lambda`, v),
or two about one mean, of different scales; each has half its weight.
"""

from __future__ import annotations

import numpy as np
import torch
from torch import Generator, Tensor

from ...components import Family
from ...data import Rows
from ...errors import refuse
from ...kernels import Step
from ...kernels.small import Table
from ...kernels.small_gaussians import Starts
from ...mixture import Mixture
from ..loop.leaps import plain_table, tabled
from .flight import Array
from .half_axes import half_axes
from .kind import Kind, replaced
from .spurious import spurious

__all__ = ["GaussianKind", "some_mixture", "started", "step_of"]

_NESTED = 1.5  # by how much the scales of two components about one mean are apart, each way


class GaussianKind(Kind):
    """Gaussians, whose structure has a compiled M-step."""

    @classmethod
    def serves(cls, rows: Rows, start: Mixture) -> bool:
        components = start.components
        return components.is_gaussian and components.gaussian.structure.step is not None and plain_table(rows)

    def states(self, rows: Rows, floor: Tensor) -> Starts:
        return started(tabled(rows, floor), self.like)

    def mixture(self, states: Starts) -> Mixture:
        gaussian = self.like.components.gaussian
        dtype, structure = gaussian.dtype, gaussian.structure
        covariance = torch.from_numpy(states.covariance[:, :1] if structure.tied else states.covariance)
        moved = gaussian._of(
            location=torch.from_numpy(states.mean).to(dtype),
            structure=structure.map(torch.Tensor.double).with_covariance(covariance).to(dtype),
        )
        logits = torch.from_numpy(states.logits.copy()).to(dtype)
        return Mixture._of(logits, self.like.components.with_gaussian(moved))

    def moves(self, states: Starts) -> Starts:
        weights, mean, covariance = np.exp(states.logits[0]), states.mean[0], states.covariance[0]
        half, push, wide = weights / 2, half_axes(covariance), _NESTED**2
        now = weights, mean, covariance
        apart = replaced(now, (half, mean - push, covariance), (half, mean + push, covariance))
        nested = replaced(now, (half, mean, covariance / wide), (half, mean, covariance * wide))
        weight, means, covariances = (np.concatenate(pair) for pair in zip(apart, nested, strict=True))
        logits, group = np.log(weight / weight.sum(1, keepdims=True)), np.repeat(states.group[:1], len(weight))
        return Starts.of(states.table, states.step, logits, means, covariances, group)

    def spurious(self, states: Starts, total: Array) -> Array:
        found = spurious(np.exp(states.logits), states.mean, states.covariance, total)
        return found.any(1) & ~states.tied


def step_of(like: Mixture) -> Step:
    """The compiled M-step of a mixture's covariances, where they have one."""
    structure = like.components.gaussian.structure
    if structure.step is None:
        refuse("covariance", "a structure with a compiled M-step", repr(structure))
    return structure.step


def started(table: Table, start: Mixture) -> Starts:
    """Returns a batch of mixtures of Gaussians as the kernels take it."""
    gaussian = start.components.gaussian
    logits = torch.log_softmax(start.logits.double(), -1).numpy()
    mean, covariance = gaussian.location.double().numpy(), gaussian.structure.dense(gaussian.features).double().numpy()
    return Starts.of(table, step_of(start), logits, mean, covariance, np.zeros(len(logits), np.int64))


def some_mixture(rows: Rows, family: Family, components: int) -> Mixture:
    """Some mixture of the family, in a batch of one."""
    x = torch.rand(4 * rows.features + 4, *rows.event_shape, generator=Generator().manual_seed(0), dtype=rows.dtype)
    r = torch.ones(len(x), 1, components, dtype=rows.dtype)
    return Mixture._of(torch.zeros(1, components, dtype=rows.dtype), family.start(x, r))
