r"""Log-normal components on small tables: Gaussians of the logarithms.

.. math:: \sum_n w_n \log p(x_n) = \sum_n w_n \log N(\log x_n) - \sum_{nd} w_n \log x_{nd},

and the last sum is the same for all components: what log-likelihoods lack for the table of logarithms.
"""

from __future__ import annotations

from dataclasses import dataclass, replace

import torch
from torch import Tensor

from ...components.log_normal import LEAST, LogNormal
from ...data import Rows
from ...kernels.small import Table, counted
from ...kernels.small_gaussians import Starts
from ...mixture import Mixture
from ..loop.leaps import plain_table
from .gaussian_kind import GaussianKind

__all__ = ["LogNormalKind"]


@dataclass(frozen=True, eq=False)
class LogNormalKind(GaussianKind):
    """Log-normal components, whose structure has a compiled M-step."""

    @classmethod
    def serves(cls, rows: Rows, start: Mixture) -> bool:
        components = start.components
        image = components.gaussian_image and not components.is_gaussian
        return image and components.gaussian.structure.step is not None and plain_table(rows)

    def states(self, rows: Rows, start: Mixture, floor: Tensor) -> Starts:
        logarithm = rows.tensor().double().log().reshape(len(rows), -1)
        values, weights = counted(logarithm, rows.weight)
        least = torch.full(logarithm.shape[1:], LEAST * torch.finfo(self.dtype).eps, dtype=torch.float64)
        table = Table.of(logarithm, rows.weight, least)
        return self.seeds(start).starts(replace(table, base=table.base - (weights @ values).sum()), self.step)

    def mixture(self, states: Starts) -> Mixture:
        found = super().mixture(states)
        return Mixture._of(found.logits, LogNormal._of(inner=found.components.gaussian, vectors=self.vectors))
