r"""Student's distribution function with both tails kept: a regularised incomplete beta function.

.. math:: F(t; \nu) = \tfrac12 I_{\nu/(\nu + t^2)}\big(\tfrac\nu2, \tfrac12\big) \quad (t \le 0), \qquad
    F(t) \approx \frac{1}{\nu B(\nu/2, 1/2)} \Big(\frac{\sqrt\nu}{|t|}\Big)^\nu

far out, where squares would overflow.
"""

from __future__ import annotations

import math
from typing import Any

import torch
from torch import Tensor

from ...errors import NotClosedForm
from .beta_cdf import beta_below
from .elementwise import Elementwise

__all__ = ["student_below"]

_FAR = 1e-8  # of a scale over a distance, from which on the leading term is all


def student_below(t: Tensor, dof: Tensor) -> Tensor:
    """Returns the probability of less than t standard scores, differentiable in t.

    Example:
        >>> from mixtura.components.special.student_cdf import student_below
        >>> student_below(torch.tensor([-1.0, 0.0, 1.0]), torch.tensor(1.0))
        tensor([0.2500, 0.5000, 0.7500])
    """
    return _Below.of(t, dof)


class _Below(Elementwise):
    @staticmethod
    def forward(t: Tensor, dof: Tensor) -> Tensor:
        tail = _tail(t.double().abs(), dof.double())
        return torch.where(t <= 0, tail, 1 - tail).to(t.dtype)

    @staticmethod
    def setup_context(ctx: Any, inputs: tuple[Tensor, ...], output: Tensor) -> None:
        ctx.save_for_backward(*inputs)

    @staticmethod
    def backward(ctx: Any, *incoming: Tensor) -> tuple[Tensor | None, ...]:
        if ctx.needs_input_grad[1]:
            raise NotClosedForm(
                "Student-t probabilities have no closed-form gradients in degrees of freedom in Mixtura."
            )
        t, dof = ctx.saved_tensors
        log_density = -_log_beta(dof) - 0.5 * dof.log() - 0.5 * (dof + 1) * torch.log1p(t.square() / dof)
        return incoming[0] * log_density.exp(), None


def _tail(distance: Tensor, dof: Tensor) -> Tensor:
    """The probability of less than minus a distance."""
    ratio = dof.sqrt() / distance
    square = ratio.square()
    near = 0.5 * beta_below(0.5 * dof, torch.full_like(dof, 0.5), 1 / (1 + 1 / square), 1 / (1 + square))
    far = (dof * ratio.log() - dof.log() - _log_beta(dof)).exp()
    return torch.where(ratio < _FAR, far, near)


def _log_beta(dof: Tensor) -> Tensor:
    """log B(nu/2, 1/2)."""
    half = 0.5 * dof
    return torch.lgamma(half) - torch.lgamma(half + 0.5) + 0.5 * math.log(math.pi)
