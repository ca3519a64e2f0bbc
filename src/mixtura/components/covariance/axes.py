r"""What diagonal and spherical covariances share: work along the axes, one number at a time."""

from __future__ import annotations

from collections.abc import Sequence

import torch
from torch import Tensor

from ...errors import refuse
from .structure import Structure

__all__ = ["AlongAxes", "checked_variance", "select_rows"]


class AlongAxes(Structure):
    """Covariances without correlations: every coordinate is on its own, and tells nothing of the others."""

    keeps_round = True
    has_axes = True

    @property
    def elementwise(self) -> bool:
        return True

    def conditional(self, known: Sequence[int], free: Sequence[int]) -> Structure:
        """The marginal: what is known of other coordinates does not tell."""
        return self.marginal(free)

    def predicted(self, mean: Tensor, known: Sequence[int], free: Sequence[int], values: Tensor) -> Tensor:
        return mean[..., list(free)].expand(*values.shape[:-1], mean.shape[-2], len(free))

    def in_own_axes(self, features: int) -> tuple[Tensor, Tensor]:
        variance = self.variance(features)
        axes = torch.eye(features, dtype=variance.dtype, device=variance.device)
        return axes.expand(*variance.shape[:-2], 1, -1, -1), variance


def select_rows(rows: Tensor, index: int | Tensor) -> Tensor:
    """Returns the rows of one index, or one row per index."""
    return rows[index] if isinstance(index, int) else rows.index_select(0, index)


def checked_variance(variance: Tensor, validate_args: bool = True) -> Tensor:
    """Returns the variances; refused unless positive and finite, where they are to be validated."""
    if not validate_args:
        return variance
    bad = ~((variance > 0) & variance.isfinite())
    if bool(bad.any()):
        where = bad.nonzero()[0].tolist()
        refuse("variance", "positive and finite", f"{variance[tuple(where)].item():g} at index {where}")
    return variance
