r"""The log-density of a mixture of Gaussians, with gradients that are sums of an E-step.

With responsibilities :math:`r_{nk}`, an incoming gradient :math:`g_n`, and :math:`N_k, f_k, S_k` the sums of
:math:`g r`, :math:`g r (x - \mu)` and :math:`g r (x - \mu)(x - \mu)^\top` (Fisher's identity),

.. math::
    \partial x_n = g_n \sum_k r_{nk} \Sigma_k^{-1} (\mu_k - x_n), \qquad
    \partial \log w_k = N_k, \qquad
    \partial \mu_k = \Sigma_k^{-1} f_k, \qquad
    \partial L_k = L_k^{-\top} (L_k^{-1} S_k L_k^{-\top} - N_k I) .

So the fused passes serve forwards and backwards, and nothing of size N x K x D is kept. Gradients of gradients go
through the plain expression.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING, Any

import torch
from torch import Tensor

from ..kernels import soft
from .base import Component

if TYPE_CHECKING:
    from .gaussian import Gaussian

__all__ = ["log_density"]


def log_density(gaussian: Gaussian, logits: Tensor, x: Tensor) -> Tensor:
    """Returns the log-density of rows ``(N, D)`` under one mixture, ``(N,)``, differentiable in everything."""
    return _LogDensity.apply(gaussian, x, logits, gaussian.location, gaussian.structure.given)  # type: ignore[return-value]


class _LogDensity(torch.autograd.Function):
    @staticmethod
    def forward(ctx: Any, gaussian: Gaussian, x: Tensor, logits: Tensor, mean: Tensor, factor: Tensor) -> Tensor:
        ctx.gaussian = gaussian.map(Tensor.detach)
        ctx.save_for_backward(x, logits, mean, factor)
        return ctx.gaussian.mixture_log_prob(logits.detach(), x.detach())

    @staticmethod
    def backward(ctx: Any, *incoming: Tensor) -> tuple[Tensor | None, ...]:
        (g,), given = incoming, ctx.saved_tensors
        if torch.is_grad_enabled():
            return None, *_by_expression(ctx.gaussian, given, g)
        x, logits, mean, factor = (tensor.detach() for tensor in given)
        gaussian = ctx.gaussian.with_factor(mean, factor)
        rows = g.unsqueeze(-1) * gaussian.score_pass(logits, x) if ctx.needs_input_grad[1] else None
        rest = any(ctx.needs_input_grad[2:])
        return None, rows, *(_by_sums(gaussian, logits, x, g) if rest else (None, None, None))


def _by_sums(gaussian: Gaussian, logits: Tensor, x: Tensor, g: Tensor) -> tuple[Tensor, ...]:
    """Gradients in the log weights, the means and the factor."""

    def sums(weight: Tensor) -> tuple[Tensor, ...]:
        found = gaussian.expect(logits, x, weight, soft)
        return found.weight, *found.moments

    weight, shift, scatter = _signed(sums, g.contiguous())
    exact = gaussian.structure.map(Tensor.double)
    factor = exact.factor_gradient(exact.pool(weight), scatter, gaussian.features)
    return tuple(t.to(x.dtype) for t in (weight, exact.solve(shift), factor))


def _signed(sums: Callable[[Tensor], tuple[Tensor, ...]], g: Tensor) -> tuple[Tensor, ...]:
    """Sums under row weights of either sign, which a pass does not take below zero."""
    up, down = bool((g > 0).any()), bool((g < 0).any())
    if not down:
        return sums(g)
    less = sums((-g).clamp(min=0))
    return tuple(a - b for a, b in zip(sums(g.clamp(min=0)), less, strict=True)) if up else tuple(-t for t in less)


def _by_expression(gaussian: Gaussian, given: tuple[Tensor, ...], g: Tensor) -> tuple[Tensor | None, ...]:
    x, logits, mean, factor = given
    value = Component.mixture_log_prob(gaussian.with_factor(mean, factor), logits, x)
    wanted = [tensor for tensor in given if tensor.requires_grad]
    found = iter(torch.autograd.grad(value, wanted, g, create_graph=True))
    return tuple(next(found) if tensor.requires_grad else None for tensor in given)
