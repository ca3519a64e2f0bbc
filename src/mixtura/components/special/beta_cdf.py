r"""The beta distribution function with both tails kept: the regularised incomplete beta function.

.. math:: I_x(a, b) = \frac{1}{B(a, b)} \int_0^x t^{a-1} (1 - t)^{b-1}\,dt, \qquad 1 - I_x(a, b) = I_{1-x}(b, a),

of which the tail that ends before the mean is :math:`D = x^a (1 - x)^b / B(a, b)` times the continued fraction of
DiDonato and Morris (1992), which neither subtracts nor overflows. It takes shapes of at least 1, to which smaller ones
are led by :math:`I_x(a, b) = I_x(a + 1, b) + D/a` and :math:`I_x(a, b) = I_x(a, b + 1) - D/b`.
"""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor

from ...errors import NotClosedForm
from .elementwise import Elementwise
from .log_terms import log_beta_power

__all__ = ["beta_below"]

_STEPS = 2000  # of the continued fraction, at most


def beta_below(a: Tensor, b: Tensor, x: Tensor, y: Tensor) -> Tensor:
    """Returns I_x(a, b), differentiable in x, with y = 1 - x given so that neither end loses digits.

    Example:
        >>> from mixtura.components.special.beta_cdf import beta_below
        >>> beta_below(*(torch.tensor(value) for value in (2.0, 3.0, 0.25, 0.75)))
        tensor(0.2617)
    """
    return _Below.of(a, b, x, y)


class _Below(Elementwise):
    @staticmethod
    def forward(a: Tensor, b: Tensor, x: Tensor, y: Tensor) -> Tensor:
        exact = (t.double() for t in (a, b, x, y))
        return _below(*exact).to(x.dtype)

    @staticmethod
    def setup_context(ctx: Any, inputs: tuple[Tensor, ...], output: Tensor) -> None:
        ctx.save_for_backward(*inputs)

    @staticmethod
    def backward(ctx: Any, *incoming: Tensor) -> tuple[Tensor | None, ...]:
        if any(ctx.needs_input_grad[:2]):
            raise NotClosedForm("Beta probabilities have no closed-form gradients in the shapes in Mixtura.")
        a, b, x, y = ctx.saved_tensors
        density = (log_beta_power(*(t.double() for t in (a, b, x, y))).to(x.dtype) - x.log() - y.log()).exp()
        density = torch.where((x > 0) & (y > 0), density, 0.0)
        return None, None, incoming[0] * density, None


def _below(a: Tensor, b: Tensor, x: Tensor, y: Tensor) -> Tensor:
    more = torch.where(a < 1, log_beta_power(a, b, x, y).exp() / a, 0.0)
    a = torch.where(a < 1, a + 1, a)
    more = more - torch.where(b < 1, log_beta_power(a, b, x, y).exp() / b, 0.0)
    b = torch.where(b < 1, b + 1, b)
    early = x * b <= y * a  # before the mean
    tail = _tail(*(torch.where(early, t, s) for t, s in ((a, b), (b, a), (x, y), (y, x))))
    found = (torch.where(early, tail, 1 - tail) + more).clamp(0, 1)
    return torch.where(x <= 0, 0.0, torch.where(y <= 0, 1.0, found))


def _tail(a: Tensor, b: Tensor, x: Tensor, y: Tensor) -> Tensor:
    """I_x(a, b) with x before the mean, for shapes of at least 1."""
    power = log_beta_power(a, b, x, y).exp()
    return torch.where(power > 0, power * _fraction(a, b, x, y), power)


def _fraction(a: Tensor, b: Tensor, x: Tensor, y: Tensor) -> Tensor:
    """I_x/D by the continued fraction, as DiDonato and Morris (1992, BFRAC) advance it."""
    one, c0, c1 = torch.ones_like(a), b / a, 1 + 1 / a
    c = 1 + torch.where(a > b, (a + b) * y - b, a - (a + b) * x)
    p, s, an, bn, an1, bn1, r = one, a + 1, 0 * one, one, one, c / c1, c1 / c
    for n in range(1, _STEPS):
        t = n / a
        w = n * (b - n) * x
        e = a / s
        alpha = p * (p + c0) * e * e * (w * x)
        e = (1 + t) / (c1 + t + t)
        beta = n + w / s + e * (c + n * (1 + y))
        p, s = 1 + t, s + 2
        an, an1 = an1, alpha * an + beta * an1
        bn, bn1 = bn1, alpha * bn + beta * bn1
        before, r = r, an1 / bn1
        an, bn, an1, bn1 = an / bn1, bn / bn1, r, one
        if not bool(((r - before).abs() > 1e-15 * r).any()):
            break
    return r
