r"""Cumulative probabilities and quantiles of one-dimensional mixtures.

The quantile is the least number x with :math:`F(x) \ge q`. Numbers of a floating point type are finitely many, and
their bits count them in order; so the bracket, at first all of the support, is halved *by count*, and as many halvings
as a number has bits end at neighbours, whatever the magnitude: quantiles of 1e-300 as of 1. For counts the same search
ends where a single whole number is left, and asks once for each. It asks in double precision, and above the median by
the survival function,
:math:`\sum_k w_k P_k(X > x) \le 1 - q`, so that neither tail loses digits. The gradient is implicit:
:math:`dx = (dq - \partial_\theta F\, d\theta) / p(x)`.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING

import torch
from torch import Tensor

from ..errors import NotClosedForm, refuse

if TYPE_CHECKING:
    from .value import Mixture

__all__ = ["cdf", "icdf", "upper_quantile"]

_WHOLE = {2: torch.int16, 4: torch.int32, 8: torch.int64}  # by the bytes of a number


def cdf(mixture: Mixture, x: Tensor) -> Tensor:
    """Returns the cumulative probability, above the median by what is left; in double precision up to the end."""
    exact, rows = mixture.to(torch.float64), x.double()
    below, above = _below(exact, rows), _above(exact, rows)
    return torch.where(below < 0.5, below, 1 - above).to(mixture.dtype)


def icdf(mixture: Mixture, q: Tensor) -> Tensor:
    """Returns the quantiles of probabilities ``q``; vectors of one feature keep their feature dimension."""
    return _quantile(mixture, q, 1 - q.double())


def upper_quantile(mixture: Mixture, p: Tensor) -> Tensor:
    """Returns the least numbers with no more than a probability ``p`` above them, told apart however small p is."""
    return _quantile(mixture, 1 - p, p.double())


def _quantile(mixture: Mixture, q: Tensor, above: Tensor) -> Tensor:
    if mixture.event_shape.numel() != 1:
        raise NotClosedForm(f"Quantiles exist for numbers; these rows have {mixture.event_shape.numel()} features.")
    if not bool(((q >= 0) & (q <= 1)).all()):
        refuse("value", "probabilities between 0 and 1", q.detach().tolist())
    with torch.no_grad():
        low, high = _ends(mixture)
        reaches, between = _reaches(mixture, q.detach().double(), above.detach()), torch.broadcast_tensors(low, high, q)
        x = (_least_whole if mixture.support.is_discrete else _least)(reaches, *between[:2])
        x = torch.where(q == 0, low, torch.where(above == 0, high, x))
    x = x if mixture.support.is_discrete else _attach(mixture, x, q)
    return x.reshape(x.shape + mixture.event_shape)


def _reaches(mixture: Mixture, q: Tensor, above: Tensor) -> Callable[[Tensor], Tensor]:
    """Whether the cumulative probability at x reaches q; of a count, but for the rounding of q in its own type."""
    exact, eps = mixture.detach().to(torch.float64), 0.0
    if mixture.support.is_discrete:
        eps = torch.finfo(mixture.dtype).eps
    least, most = q * (1 - 4 * eps), above * (1 + 4 * eps) + eps / 2

    def reaches(x: Tensor) -> Tensor:
        lower, upper = (_at(tail, exact, x.double()) for tail in (_below, _above))
        return torch.where(q > 0.5, upper <= most, lower >= least)

    return reaches


def _at(tail: Callable[[Mixture, Tensor], Tensor], mixture: Mixture, x: Tensor) -> Tensor:
    """A tail at numbers ``x``; that of counts once for each whole number, where all numbers are of one mixture."""
    if mixture.batch_shape or not mixture.support.is_discrete:
        return tail(mixture, x.reshape(x.shape + mixture.event_shape))
    distinct, where = x.floor().unique(return_inverse=True)
    return tail(mixture, distinct.reshape(distinct.shape + mixture.event_shape))[where]


def _ends(mixture: Mixture) -> tuple[Tensor, Tensor]:
    """Where the support begins and ends, ``(*B)``: that of all components that have weight."""
    low, high = mixture.components.detach().ends
    idle = mixture.logits.detach() == -torch.inf
    return low.masked_fill(idle, torch.inf).amin(-1), high.masked_fill(idle, -torch.inf).amax(-1)


Good = Callable[[Tensor], Tensor]


def _least(good: Good, low: Tensor, high: Tensor) -> Tensor:
    """The least number from low to high that is good, where all from one on are."""
    before, after = _rank(low) - 1, _rank(high)
    for _ in range(8 * low.element_size()):
        before, after = _halved(good, before, after, low.dtype)
    return _number(after, low.dtype) + 0.0  # which is 0, not -0


def _least_whole(good: Good, low: Tensor, high: Tensor) -> Tensor:
    """The least whole number from low to high that is good, where all numbers from one on are."""
    before, after = _rank(low - 1), _rank(high)
    for _ in range(8 * low.element_size()):
        below, last = (_number(end, low.dtype).floor() for end in (before, after))
        if bool((last - below <= 1).all()):
            break
        before, after = _halved(good, before, after, low.dtype)
    return _number(after, low.dtype).floor()


def _halved(good: Good, before: Tensor, after: Tensor, dtype: torch.dtype) -> tuple[Tensor, Tensor]:
    """Brackets of half as many numbers, by their places."""
    middle = (before & after) + ((before ^ after) >> 1)
    found = good(_number(middle, dtype))
    return torch.where(found, before, middle), torch.where(found, middle, after)


def _rank(x: Tensor) -> Tensor:
    """The place of numbers among all of their type: their bits, those of a negative one turned round."""
    bits = x.contiguous().view(_WHOLE[x.element_size()])
    return torch.where(bits < 0, bits ^ torch.iinfo(bits.dtype).max, bits)


def _number(rank: Tensor, dtype: torch.dtype) -> Tensor:
    """The numbers at these places."""
    return torch.where(rank < 0, rank ^ torch.iinfo(rank.dtype).max, rank).view(dtype)


def _attach(mixture: Mixture, x: Tensor, q: Tensor) -> Tensor:
    """Gives a quantile its implicit gradients without changing its value."""
    parameters = mixture.logits.requires_grad or mixture.components.requires_grad()
    if not (torch.is_grad_enabled() and (q.requires_grad or parameters)):
        return x
    inner = torch.where(x.isfinite(), x, 0)  # the ends of the line do not move, and would give NaN
    rows = inner.reshape(x.shape + mixture.event_shape)
    gap = cdf(mixture, rows) - q
    density = mixture.detach().log_prob(rows).exp()
    step = (gap - gap.detach()) / torch.where(density > 0, density, 1)
    return torch.where(x.isfinite() & (density > 0), x - step, x)


def _below(mixture: Mixture, x: Tensor) -> Tensor:
    return (mixture.weights * mixture.components.cdf(x)).sum(-1)


def _above(mixture: Mixture, x: Tensor) -> Tensor:
    return (mixture.weights * mixture.components.survival(x)).sum(-1)
