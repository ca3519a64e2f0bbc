r"""Regression of some coordinates on others: the mean of a given b.

.. math:: \mu_a + G (x_b - \mu_b), \qquad G = \Sigma_{ab}\Sigma_{bb}^{-1} .

G does not depend on the values, so it is found once for each component. Rows of one mixture are then multiplied by the
G of all components in one product of matrices, about one centre c for all of them:

.. math:: \mu_a - G(\mu_b - c) + G(x_b - c) .

Each coordinate of c is the one of the means that is nearest to zero. So :math:`|c| \le |\mu_b|`, and for a row near a
component :math:`x_b - c` loses no more digits than :math:`x_b` has lost already.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

import torch
from torch import Tensor

from .columns import times

if TYPE_CHECKING:
    from .structure import Structure

__all__ = ["predicted"]


def predicted(structure: Structure, mean: Tensor, known: Sequence[int], free: Sequence[int], values: Tensor) -> Tensor:
    """Returns the means of the free coordinates given values of the known ones, ``(*S, *B, K, len(free))``."""
    here, there = mean[..., list(known)], mean[..., list(free)]
    cross = structure.dense(structure.width)[..., list(free), :][..., list(known)]
    if mean.ndim > 2:  # every entry of a batch has a row of its own
        return there + times(cross, structure.marginal(known).solve(values.unsqueeze(-2) - here))
    gain = structure.marginal(known).solve(cross.movedim(-2, 0)).movedim(0, -2)
    centre = _nearest_to_zero(here.detach())
    offset = there - times(gain, here - centre)
    gains = gain.expand(*there.shape, len(known)).flatten(0, 1)
    rows = values.reshape(-1, len(known)) - centre
    return torch.addmm(offset.flatten(), rows, gains.mT).reshape(values.shape[:-1] + there.shape)


def _nearest_to_zero(means: Tensor) -> Tensor:
    return means.gather(0, means.abs().argmin(0, keepdim=True)).squeeze(0)
