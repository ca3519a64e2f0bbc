r"""Components in ascending order of one coordinate.

.. math:: v_1 = u_1, \qquad v_k = v_{k-1} + e^{u_k}, \qquad \log|J| = \sum_{k>1} u_k .

Of a posterior that does not change when components trade names, it keeps one of K! copies. What is ordered are real
numbers; scales and rates are ordered by their logarithms, which is the same order.
"""

from __future__ import annotations

import torch
from torch import Tensor
from torch.distributions import constraints
from torch.distributions.transforms import Transform

__all__ = ["Ordered"]


class Ordered(Transform):
    """Ascending numbers over components, from any.

    Arguments:
        coordinate: Of vectors ``(*S, K, D)`` the coordinate that is ordered, others being left as they are; None for
            numbers ``(*S, K)``.

    Example:
        >>> mx.bayes.bijections.Ordered()(torch.zeros(3))
        tensor([0., 1., 2.])
    """

    codomain = constraints.real
    bijective = True

    def __init__(self, coordinate: int | None = None) -> None:
        super().__init__()
        self.coordinate = coordinate
        self.domain = constraints.independent(constraints.real, 1 if coordinate is None else 2)
        self.codomain = self.domain

    def __eq__(self, other: object) -> bool:
        return isinstance(other, Ordered) and other.coordinate == self.coordinate

    def _call(self, x: Tensor) -> Tensor:
        return self._with(x, _ascending(self._column(x)))

    def _inverse(self, y: Tensor) -> Tensor:
        column = self._column(y)
        return self._with(y, torch.cat([column[..., :1], column.diff(dim=-1).log()], -1))

    def log_abs_det_jacobian(self, x: Tensor, y: Tensor) -> Tensor:
        return self._column(x)[..., 1:].sum(-1)

    def _column(self, values: Tensor) -> Tensor:
        return values if self.coordinate is None else values[..., self.coordinate]

    def _with(self, values: Tensor, column: Tensor) -> Tensor:
        if self.coordinate is None:
            return column
        parts = list(values.unbind(-1))
        parts[self.coordinate] = column
        return torch.stack(parts, -1)


def _ascending(u: Tensor) -> Tensor:
    return torch.cat([u[..., :1], u[..., 1:].exp()], -1).cumsum(-1)
