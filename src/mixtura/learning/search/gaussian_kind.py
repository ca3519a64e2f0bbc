r"""Gaussians of any structure on small tables: states and back, moves, spurious optima.

A component j becomes two at :math:`\mu_j \pm \tfrac12\sqrt\lambda\,v` along its principal axis (:math:`\lambda`, v),
or two about one mean, of different scales; each has half its weight.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, TypeVar

import numpy as np
import torch
from torch import Tensor

from ...components import Gaussian, Structure
from ...components.normal import of_rows
from ...data import Rows
from ...errors import refuse
from ...kernels import Step
from ...kernels.small_gaussians import Seeds, Starts
from ...mixture import Mixture
from ..loop.leaps import plain_table, tabled
from .flight import Array
from .half_axes import half_axes
from .kind import Kind, replaced
from .spurious import spurious

__all__ = ["GaussianKind"]

StartsT = TypeVar("StartsT", bound=Starts)
_NESTED = 2.0  # by how much the scales of two components about one mean are apart, each way


@dataclass(frozen=True, eq=False)
class GaussianKind(Kind):
    """Gaussians, whose structure has a compiled M-step.

    Arguments:
        structure: The structure, with or without numbers.
        dtype: The type of the parameters.
        vectors: Whether rows are vectors.
    """

    structure: Structure
    dtype: torch.dtype
    vectors: bool

    @classmethod
    def serves(cls, rows: Rows, start: Mixture) -> bool:
        components = start.components
        return components.is_gaussian and components.gaussian.structure.step is not None and plain_table(rows)

    @classmethod
    def of(cls, start: Mixture) -> GaussianKind:
        return cls(start.components.gaussian.structure, start.dtype, bool(start.event_shape))

    @classmethod
    def of_family(cls, family: Any, rows: Rows) -> GaussianKind:
        """Returns the kind of a family of Gaussians on rows."""
        return cls(family.structure, rows.dtype, bool(rows.event_shape))

    @property
    def step(self) -> Step:
        """The compiled M-step of the covariances."""
        if self.structure.step is None:
            refuse("covariance", "a structure with a compiled M-step", repr(self.structure))
        return self.structure.step

    def states(self, rows: Rows, start: Mixture, floor: Tensor) -> Starts:
        return self.seeds(start).starts(tabled(rows, floor), self.step)

    def seeds(self, start: Mixture) -> Seeds:
        """Returns where a batch of mixtures starts."""
        gaussian = start.components.gaussian
        logits = torch.log_softmax(start.logits.double(), -1).numpy()
        dense = gaussian.structure.dense(gaussian.features).double().numpy()
        return Seeds(logits, gaussian.location.double().numpy(), dense, np.zeros(len(logits), np.int64))

    def mixture(self, states: Starts) -> Mixture:
        covariance = torch.from_numpy(states.covariance[:, :1] if self.structure.tied else states.covariance)
        gaussian = Gaussian._of(
            location=torch.from_numpy(states.mean).to(self.dtype),
            structure=self.structure.map(torch.Tensor.double).with_covariance(covariance).to(self.dtype),
        )
        logits = torch.from_numpy(states.logits.copy()).to(self.dtype)
        return Mixture._of(logits, of_rows(gaussian, self.vectors))

    def moves(self, states: StartsT) -> StartsT:
        weights, mean, covariance = np.exp(states.logits[0]), states.mean[0], states.covariance[0]
        half, push, wide = weights / 2, half_axes(covariance), _NESTED**2
        now = weights, mean, covariance
        apart = replaced(now, (half, mean - push, covariance), (half, mean + push, covariance))
        nested = replaced(now, (half, mean, covariance / wide), (half, mean, covariance * wide))
        weight, means, covariances = (np.concatenate(pair) for pair in zip(apart, nested, strict=True))
        logits, group = np.log(weight / weight.sum(1, keepdims=True)), np.repeat(states.group[:1], len(weight))
        return states.of(states.table, states.step, logits, means, covariances, group)

    def spurious(self, states: Starts, total: Array) -> Array:
        found = spurious(np.exp(states.logits), states.mean, states.covariance, total)
        return found.any(1) & ~states.tied
