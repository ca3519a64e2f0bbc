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

__all__ = ["gains", "predicted"]


def gains(structure: Structure, known: Sequence[int], free: Sequence[int]) -> Tensor:
    """Returns G, ``(K or 1, len(free), len(known))``, of a structure without batch."""
    cross = structure.dense(structure.width)[..., list(free), :][..., list(known)]
    return structure.marginal(known).solve(cross.movedim(-2, 0)).movedim(0, -2)


def predicted(structure: Structure, mean: Tensor, known: Sequence[int], free: Sequence[int], values: Tensor) -> Tensor:
    """Returns the means of the free coordinates given values of the known ones, ``(*S, *B, K, len(free))``."""
    here, there = mean[..., list(known)], mean[..., list(free)]
    if mean.ndim > 2:  # every entry of a batch has a row of its own
        cross = structure.dense(structure.width)[..., list(free), :][..., list(known)]
        return there + times(cross, structure.marginal(known).solve(values.unsqueeze(-2) - here))
    gain = gains(structure, known, free)
    centre = _nearest_to_zero(here.detach())
    offset = there - times(gain, here - centre)
    every = gain.expand(*there.shape, len(known)).flatten(0, 1)
    rows = values.reshape(-1, len(known)) - centre
    return torch.addmm(offset.flatten(), rows, every.mT).reshape(values.shape[:-1] + there.shape)


def _nearest_to_zero(means: Tensor) -> Tensor:
    return means.gather(0, means.abs().argmin(0, keepdim=True)).squeeze(0)
