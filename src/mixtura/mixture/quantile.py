r"""Quantiles of one-dimensional mixtures.

The quantile solves :math:`F(x) = q`. It lies between the smallest and the largest quantile of the components, so a
bracket always exists; bisection halves it down to rounding. Its gradient is implicit:
:math:`dx = (dq - \partial_\theta F\, d\theta) / p(x)`.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import torch
from torch import Tensor

from ..errors import NotClosedForm, refuse

if TYPE_CHECKING:
    from .value import Mixture

__all__ = ["icdf"]

_BISECTIONS = {torch.float64: 80, torch.float32: 48}  # a bracket of width w shrinks below w * eps


def icdf(mixture: Mixture, q: Tensor) -> Tensor:
    """Returns the quantiles of probabilities ``q``; vectors of one feature keep their feature dimension."""
    if mixture.event_shape.numel() != 1:
        raise NotClosedForm(f"Quantiles exist for numbers; these rows have {mixture.event_shape.numel()} features.")
    if not bool(((q >= 0) & (q <= 1)).all()):
        refuse("value", "probabilities between 0 and 1", q.detach().tolist())
    frozen = mixture.detach()
    with torch.no_grad():
        x = _bisect(frozen, q.detach())
        low, high = (getattr(mixture.support, f"{end}_bound", None) for end in ("lower", "upper"))
        x = torch.where(q == 0, -torch.inf if low is None else low, x)
        x = torch.where(q == 1, torch.inf if high is None else high, x)
    return _attach(mixture, x, q).reshape(x.shape + mixture.event_shape)


def _bisect(mixture: Mixture, q: Tensor) -> Tensor:
    low, high = _bracket(mixture, q)
    for _ in range(_BISECTIONS.get(mixture.dtype, 80)):
        middle = 0.5 * (low + high)
        below = _cdf(mixture, middle) < q
        low, high = torch.where(below, middle, low), torch.where(below, high, middle)
    return 0.5 * (low + high)


def _bracket(mixture: Mixture, q: Tensor) -> tuple[Tensor, Tensor]:
    """Widens mean +- scale around all components until every interior probability is inside."""
    mean = mixture.components.mean.reshape(mixture.logits.shape).nan_to_num(0.0, 0.0, 0.0)
    scale = mixture.components.variance.reshape(mixture.logits.shape).sqrt()
    shape = torch.broadcast_shapes(q.shape, mixture.batch_shape)
    width = torch.where(scale.isfinite(), scale, 1).amax(-1)  # heavy tails may have no moments
    inside = (q > 0) & (q < 1)
    for doubling in range(64):
        low = (mean.amin(-1) - width * 2**doubling).expand(shape)
        high = (mean.amax(-1) + width * 2**doubling).expand(shape)
        if not bool((inside & ((_cdf(mixture, low) > q) | (_cdf(mixture, high) < q))).any()):
            return low, high
    refuse("value", "probabilities that the mixture can reach", q.tolist())


def _attach(mixture: Mixture, x: Tensor, q: Tensor) -> Tensor:
    """Gives a quantile its implicit gradients without changing its value."""
    parameters = mixture.logits.requires_grad or mixture.components.requires_grad()
    if not (torch.is_grad_enabled() and (q.requires_grad or parameters)):
        return x
    inner = torch.where(x.isfinite(), x, 0)  # the ends of the line do not move, and would give NaN
    gap = _cdf(mixture, inner) - q
    density = mixture.detach().log_prob(inner.reshape(x.shape + mixture.event_shape)).exp()
    step = (gap - gap.detach()) / torch.where(density > 0, density, 1)
    return torch.where(x.isfinite() & (density > 0), x - step, x)


def _cdf(mixture: Mixture, x: Tensor) -> Tensor:
    return mixture.cdf(x.reshape(x.shape + mixture.event_shape))
