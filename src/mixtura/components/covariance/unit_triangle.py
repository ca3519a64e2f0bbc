r"""Covariances of any shape as scales and triangles with ones on the diagonal: how a network puts them out.

.. math:: \Sigma_k = L_k L_k^\top, \qquad L_k = \mathrm{diag}(s_k)\, T_k, \qquad T_{ij} = 0 \ (j > i), \quad T_{ii} = 1.

They are those of `Full`, which they become in whatever is asked of them but a log-density: that takes the numbers as
they are, and no matrix is written down. In memory the numbers of one entry may stand side by side for all components.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import torch
from torch import Tensor

from .full import Full
from .structure import Structure

__all__ = ["UnitTriangle"]


@dataclass(frozen=True, eq=False, repr=False, init=False)
class UnitTriangle(Structure):
    """Covariances from the scales s, ``(*B, K or 1, D)``, and T below its diagonal row by row, ``(*B, K or 1, P)``.

    Arguments:
        scale: The scales of each coordinate given those before it.
        below: The numbers of T, P = D(D - 1)/2 of them.
        tied: Whether the components share one covariance.

    Example:
        >>> from mixtura.components.covariance.unit_triangle import UnitTriangle
        >>> UnitTriangle(torch.tensor([[2.0, 3.0]]), torch.tensor([[0.5]])).full(2).given
        tensor([[[2.0000, 0.0000],
                 [1.5000, 3.0000]]])
    """

    below: Tensor

    trailing = 1
    form = Full.form

    def __init__(self, scale: Tensor, below: Tensor, *, tied: bool = False) -> None:
        for name, value in (("factor", scale), ("below", below), ("tied", tied)):
            object.__setattr__(self, name, value)

    def full(self, features: int) -> Full:
        scale = self.given
        triangle = torch.diag_embed(scale)
        for i in range(1, features):
            start = i * (i - 1) // 2
            triangle[..., i, :i] = self.below[..., start : start + i] * scale[..., i, None]
        return Full._of(factor=triangle, tied=self.tied)

    @property
    def unconstrained(self) -> Full:
        return self.full(self.width)

    @property
    def triangular(self) -> Full:
        return self.full(self.width)

    @property
    def for_draws(self) -> Full:
        return self.full(self.width)

    @property
    def moment_trailing(self) -> int:
        return 2

    def half_logdet(self, features: int) -> Tensor:
        return self.given.log().sum(-1)

    def with_moment(self, moment: Tensor, features: int) -> Structure:  # type: ignore[override]
        return Full(tied=self.tied).with_moment(moment, features)

    def parameters(self, components: int, features: int) -> int:
        return Full(tied=self.tied).parameters(components, features)

    def scaled(self, scale: Tensor) -> Structure:
        return self.full(self.width).scaled(scale)

    def conditional(self, known: Sequence[int], free: Sequence[int]) -> Structure:
        return self.full(self.width).conditional(known, free)
