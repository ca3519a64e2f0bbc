r"""Integrals and sums over the support of a density, by its constraint.

Everything is mapped to the line, :math:`x = m + s \sinh t`, half lines by :math:`x = a + s e^t` and intervals by the
logistic function, where Gauss and Legendre's rule on panels converges exponentially fast, and a kink at the centre,
which is the end of a panel, does no harm. Planes take the product rule; counts and truth values are summed.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
import torch
from torch import Tensor
from torch.distributions import constraints

from ..errors import NotClosedForm

__all__ = ["grid", "integrate"]


def integrate(function: Callable[[Tensor], Tensor], support: Any, centre: Tensor, scale: Tensor) -> Tensor:
    """Integrates a function of rows over a support: numbers, and vectors where the support has few dimensions.

    Arguments:
        function: From rows ``(N, *event)`` to values ``(N, ...)``.
        support: A torch constraint.
        centre: Where the mass is, with shape ``(*event)``.
        scale: How far it spreads, with shape ``(*event)``.

    Raises:
        NotClosedForm: If this support has no rule here.

    Example:
        >>> line = torch.distributions.constraints.real
        >>> one = mx.testing.integrate(lambda x: 0.5 / x.cosh() ** 2, line, torch.zeros(()), torch.ones(()))
        >>> round(one.item(), 6)
        1.0
    """
    x, weight = grid(support, centre, scale)
    values = function(x)
    return (weight.reshape(-1, *(1,) * (values.ndim - 1)) * values).sum(0)


def grid(support: Any, centre: Tensor, scale: Tensor) -> tuple[Tensor, Tensor]:
    """Returns nodes ``(N, *event)`` and weights ``(N,)`` of a rule for this support."""
    base = getattr(support, "base_constraint", support)
    if centre.ndim == 0:
        return _line(base, centre, scale)
    each = getattr(base, "cseq", [base] * len(centre))  # a stack of constraints has one for each coordinate
    reach = 35 if len(centre) == 1 else 8
    if sum(not _few(one) for one in each) > 2:
        raise NotClosedForm(f"There is no rule for {support} in {len(centre)} dimensions.")
    lines = [_line(one, c, s, reach) for one, c, s in zip(each, centre, scale, strict=True)]
    nodes = torch.cartesian_prod(*(x for x, _ in lines)).reshape(-1, len(lines))
    weights = torch.cartesian_prod(*(w for _, w in lines)).reshape(-1, len(lines))
    if isinstance(base, type(constraints.multinomial(1))):
        weights = weights * (nodes.sum(-1, keepdim=True) == base.upper_bound)
    return nodes, weights.prod(-1)


def _few(support: Any) -> bool:
    """Whether a coordinate has so few values that products of them can be summed."""
    return support.is_discrete and getattr(support, "upper_bound", 1) - getattr(support, "lower_bound", 0) < 5


def _line(support: Any, centre: Tensor, scale: Tensor, reach: int = 35) -> tuple[Tensor, Tensor]:
    if isinstance(support, type(constraints.simplex)):
        raise NotClosedForm("There is no rule for the simplex.")
    low, high = _ends(support)
    if support.is_discrete:
        return _counts(low, high, centre, scale)
    t, weight = _panels(reach)
    x, slope = _mapped(low, high, t, centre.double(), scale.double())
    inside = (x > low) & (x < high)  # rounding puts the outermost nodes on the ends
    return x[inside].to(centre.dtype), (slope * weight)[inside].to(centre.dtype)


def _panels(reach: int) -> tuple[Tensor, Tensor]:
    """Nodes and weights of the rule of 16 points on each panel of length one half from -reach to reach."""
    node, weight = (torch.from_numpy(array) / 4 for array in np.polynomial.legendre.leggauss(16))
    middle = torch.arange(-reach, reach, 0.5, dtype=torch.float64) + 0.25
    return (middle[:, None] + node).reshape(-1), weight.expand(len(middle), -1).reshape(-1)


def _ends(support: Any) -> tuple[float, float]:
    if isinstance(support, type(constraints.boolean)):
        return 0.0, 1.0
    least = 0.0 if isinstance(support, type(constraints.multinomial(1))) else -torch.inf
    low, high = getattr(support, "lower_bound", least), getattr(support, "upper_bound", torch.inf)
    return float(torch.as_tensor(low).min()), float(torch.as_tensor(high).max())


def _counts(low: float, high: float, centre: Tensor, scale: Tensor) -> tuple[Tensor, Tensor]:
    top = min(high, centre.item() + 100 * scale.item() + 100)
    x = torch.arange(low, top + 1, dtype=centre.dtype)
    return x, torch.ones_like(x)


def _mapped(low: float, high: float, t: Tensor, centre: Tensor, scale: Tensor) -> tuple[Tensor, Tensor]:
    if low == -torch.inf and high == torch.inf:
        return centre + scale * torch.sinh(t), scale * torch.cosh(t)
    if high == torch.inf:
        return low + scale * t.exp(), scale * t.exp()
    share = torch.sigmoid(t)
    return low + (high - low) * share, (high - low) * share * (1 - share)
