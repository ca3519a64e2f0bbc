r"""The gamma distribution function with both tails kept: the regularised incomplete gamma functions.

.. math:: P(a, x) = \frac{1}{\Gamma(a)}\int_0^x t^{a-1} e^{-t}\,dt, \qquad Q = 1 - P .

``torch.special`` has both, to rounding but in two places. Where a is large and x near it, its expansion stops at ten
digits; there Temme's (1979) serves, whose coefficients the backward recurrence of Gil, Segura and Temme (2012) sums:
with :math:`\lambda = x/a` and :math:`\tfrac12\eta^2 = \lambda - 1 - \log\lambda`,

.. math:: Q = \tfrac12\operatorname{erfc}\big(\eta\sqrt{a/2}\big) + \frac{e^{-a\eta^2/2}}{\sqrt{2\pi a}}\, S_a(\eta),
    \qquad \frac{\eta}{\lambda - 1} = \sum_k f_k \eta^k, \qquad S_a = \frac{\sum_m b_m \eta^m}{1 + b_1/a}, \quad
    b_{m-1} = f_m + \frac{m + 1}{a} b_{m+1} .

Where a and x are small, Q is far below 1 and is not left to a difference,

.. math:: Q = -\operatorname{expm1}\big(a\log x - \log\Gamma(1 + a)\big)
    + \frac{a\,x^a}{\Gamma(1 + a)} \sum_{n \ge 1} \frac{(-1)^{n-1} x^n}{(a + n)\, n!} .
"""

from __future__ import annotations

import math
from fractions import Fraction
from typing import Any

import torch
from torch import Tensor

from ...errors import NotClosedForm
from .elementwise import Elementwise
from .log_terms import log1p_rest, log_gamma_of_one_more

__all__ = ["gamma_above", "gamma_below"]

_LARGE = 20.0  # shapes from which on the expansion serves
_TERMS = 26


def gamma_below(a: Tensor, x: Tensor) -> Tensor:
    """Returns P(a, x) for positive shapes and x of at least 0, differentiable in x.

    Example:
        >>> from mixtura.components.special.gamma_cdf import gamma_below
        >>> gamma_below(torch.tensor([1.0, 100.0]), torch.tensor([2.0, 90.0]))
        tensor([0.8647, 0.1582])
    """
    return _Share.of(a, x, False)


def gamma_above(a: Tensor, x: Tensor) -> Tensor:
    """Returns Q(a, x), as `gamma_below` does P.

    Example:
        >>> from mixtura.components.special.gamma_cdf import gamma_above
        >>> gamma_above(torch.tensor([1.0, 1e-8]), torch.tensor([2.0, 0.003]))
        tensor([1.3534e-01, 5.2349e-08])
    """
    return _Share.of(a, x, True)


class _Share(Elementwise):
    @staticmethod
    def forward(a: Tensor, x: Tensor, above: bool) -> Tensor:
        a, exact = a.double(), x.double()
        found = torch.special.gammaincc(a, exact) if above else torch.special.gammainc(a, exact)
        near = (a > _LARGE) & (exact > 0.3 * a) & (exact < 2.3 * a)
        found[near] = _expanded(a[near], exact[near], above)
        if above:
            small = (a < 1) & (exact < 1.2) & (exact > 0)
            found[small] = _small(a[small], exact[small])
        return found.to(x.dtype)

    @staticmethod
    def setup_context(ctx: Any, inputs: tuple[Tensor, Tensor, bool], output: Tensor) -> None:
        a, x, ctx.above = inputs
        ctx.save_for_backward(a, x)

    @staticmethod
    def backward(ctx: Any, *incoming: Tensor) -> tuple[Tensor | None, ...]:
        if ctx.needs_input_grad[0]:
            raise NotClosedForm("Gamma probabilities have no closed-form gradients in the shape in Mixtura.")
        a, x = ctx.saved_tensors
        density = torch.where(x > 0, (torch.xlogy(a - 1, x) - x - torch.lgamma(a)).exp(), 0.0)
        return None, incoming[0] * (-density if ctx.above else density), None


def _expanded(a: Tensor, x: Tensor, above: bool) -> Tensor:
    """Temme's expansion, for large a and x near it."""
    ratio = (x - a) / a
    half_square = -log1p_rest(ratio)
    eta = ratio.sign() * (2 * half_square).sqrt()
    side = 1.0 if above else -1.0
    rest = (-a * half_square).exp() / (2 * math.pi * a).sqrt() * _sum(a, eta)
    return 0.5 * torch.special.erfc(side * eta * (0.5 * a).sqrt()) + side * rest


def _sum(a: Tensor, eta: Tensor) -> Tensor:
    """The sum S of the expansion."""
    after = {_TERMS: torch.full_like(a, _F[_TERMS + 1]), _TERMS - 1: torch.full_like(a, _F[_TERMS])}
    for m in range(_TERMS - 1, 0, -1):
        after[m - 1] = _F[m] + (m + 1) * after[m + 1] / a
    total = torch.zeros_like(eta)
    for m in range(_TERMS, -1, -1):
        total = total * eta + after[m]
    return total / (1 + after[1] / a)


def _small(a: Tensor, x: Tensor) -> Tensor:
    """Q where a is below 1 and x not far above."""
    exponent = a * x.log() - log_gamma_of_one_more(a)
    power, total = torch.ones_like(x), torch.zeros_like(x)
    for n in range(1, 21):
        power = -power * x / n
        total = total - power / (a + n)
    return a * exponent.exp() * total - torch.expm1(exponent)


def _reciprocal_coefficients(count: int) -> list[float]:
    r"""Returns the coefficients f of :math:`\eta/(\lambda - 1)`, exact before the last rounding.

    Those of :math:`\lambda - 1 = \sum_k \alpha_k\eta^k` follow from :math:`\eta\lambda = (\lambda - 1)\lambda'`.
    """
    alpha = [Fraction(0), Fraction(1)]
    for k in range(2, count + 2):
        pairs = sum((alpha[i] * alpha[k + 1 - i] for i in range(2, k)), Fraction(0))
        alpha.append(alpha[k - 1] / (k + 1) - pairs / 2)
    found = [Fraction(1)]
    for k in range(1, count + 1):
        found.append(-sum((alpha[j + 1] * found[k - j] for j in range(1, k + 1)), Fraction(0)))
    return [float(one) for one in found]


_F = _reciprocal_coefficients(_TERMS + 1)
