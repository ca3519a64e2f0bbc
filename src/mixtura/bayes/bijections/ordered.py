r"""Components in ascending order of one coordinate.

.. math:: v_1 = u_1, \qquad v_k = v_{k-1} + s \log\!\big(1 + e^{t_k}\big), \qquad t_k = \frac{u_k - v_{k-1}}{s}, \qquad
    \log|J| = -\sum_{k>1} \log\!\big(1 + e^{-t_k}\big) .

Where components are further apart than the softness s, v = u: what is known of one of them says nothing of the others,
in u as in v. (Logarithms of gaps tie each to all before it, and cost NUTS five times where components are far apart.)
Where they meet, the order is kept softly. Numbers come in units of the data, as far as the data have told some.

Of a posterior that does not change when components trade names, this keeps one of K! copies. What is ordered are real
numbers; scales and rates are ordered by their logarithms, which is the same order.
"""

from __future__ import annotations

import torch
from torch import Tensor
from torch.distributions import constraints
from torch.distributions.transforms import Transform
from torch.nn.functional import logsigmoid

__all__ = ["Ordered"]

_SOFT = 0.25  # of the data's width, from which on components are apart


class Ordered(Transform):
    """Ascending numbers over components, from any.

    Arguments:
        coordinate: Of vectors ``(*S, K, D)`` the coordinate that is ordered, others being left as they are; None for
            numbers ``(*S, K)``.

    Example:
        >>> mx.bayes.bijections.Ordered()(torch.tensor([0.0, 5.0, 5.0]))
        tensor([0.0000, 5.0000, 5.1733])
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
        first, *others = self._column(x).unbind(-1)
        found = [first]
        for one in others:
            apart = (one - found[-1]) / _SOFT
            found.append(found[-1] + _SOFT * torch.logaddexp(apart, torch.zeros_like(apart)))
        return self._with(x, torch.stack(found, -1))

    def _inverse(self, y: Tensor) -> Tensor:
        column = self._column(y)
        gap = column.diff(dim=-1) / _SOFT
        others = column[..., :-1] + _SOFT * (gap + (-torch.expm1(-gap)).log())
        return self._with(y, torch.cat([column[..., :1], others], -1))

    def log_abs_det_jacobian(self, x: Tensor, y: Tensor) -> Tensor:
        apart = self._column(x)[..., 1:] - self._column(y)[..., :-1]
        return logsigmoid(apart / _SOFT).sum(-1)

    def _column(self, values: Tensor) -> Tensor:
        return values if self.coordinate is None else values[..., self.coordinate]

    def _with(self, values: Tensor, column: Tensor) -> Tensor:
        if self.coordinate is None:
            return column
        parts = list(values.unbind(-1))
        parts[self.coordinate] = column
        return torch.stack(parts, -1)
