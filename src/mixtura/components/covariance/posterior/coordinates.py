r"""The posterior where no coordinate tells of another: independent errors on independent coordinates.

With prior variance v and error variance s, :math:`t = v + s`,

.. math:: x | y \sim N\Big(\mu + \frac{v}{t}(y - \mu),\; \frac{v s}{t}\Big), \qquad
    \mu + \frac vt (y - \mu) = y - \frac st (y - \mu),

of which the nearer end is taken, so that neither a large nor a small error costs digits.
"""

from __future__ import annotations

import math
from dataclasses import dataclass

import torch
from torch import Tensor

from ..columns import times
from .gain import Gain
from .measurement import Coordinates
from .singular import refuse_singular

__all__ = ["by_coordinates"]

_HALF_LOG_TWO_PI = 0.5 * math.log(2 * math.pi)


@dataclass(frozen=True, eq=False, repr=False)
class _ByCoordinates(Gain):
    """Steps from the nearer end; an unseen coordinate has neither step nor precision."""

    back: Tensor | None  # (*L, M, D)
    precision: Tensor  # 1/t, the rest as it: (*L, D)
    step: Tensor
    near: Tensor  # whether y is the nearer end
    constant: Tensor  # (*L)

    def explain(self, y: Tensor, mean: Tensor) -> tuple[Tensor, Tensor]:
        y = y if self.back is None else times(self.back.mT, y)
        residual = y - mean
        log_prob = self.constant - 0.5 * (residual.square() * self.precision).sum(-1)
        return log_prob, torch.where(self.near, y, mean).addcmul_(self.step, residual)


def by_coordinates(prior: Tensor, measured: Coordinates) -> tuple[Tensor, Gain]:
    """Returns the posterior variances, led as the measurement and the prior variances ``(*L, D)``, and the gain."""
    total = torch.where(measured.seen, prior + measured.noise, 1.0)
    refuse_singular(total <= 0)
    near = measured.seen & (measured.noise < prior)
    step = torch.where(near, -measured.noise, torch.where(measured.seen, prior, 0.0)) / total
    precision = torch.where(measured.seen, 1.0, 0.0) / total
    constant = measured.stretch - 0.5 * total.log().sum(-1) - measured.recorded * _HALF_LOG_TWO_PI
    left = torch.where(measured.seen, prior * (measured.noise / total), prior)
    return left, _ByCoordinates(measured.back, precision, step, near, constant)
