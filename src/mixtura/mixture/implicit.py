r"""Pathwise gradients of mixture draws: implicit reparameterisation through the Rosenblatt transform.

The Rosenblatt transform of a mixture maps a draw to independent uniforms by its conditional distribution functions,

.. math::

    F_d(x) = \sum_k \omega_{kd}\, \Phi(z_{kd}), \qquad
    \omega_{kd} \propto w_k \prod_{j<d} p_k(x_j | x_{<j}), \qquad z_k = L_k^{-1}(x - \mu_k),

because with a lower triangular :math:`L_k` the score :math:`z_{kd}` depends on :math:`x_{\le d}` only. Holding the
uniforms fixed while a parameter :math:`\theta` moves gives

.. math:: \frac{dx}{d\theta} = -\Big(\frac{\partial F}{\partial x}\Big)^{-1} \frac{\partial F}{\partial\theta},

with a lower triangular Jacobian whose diagonal holds the conditional densities. Labels never need gradients, so the
gradient in the weights is exact too. Where :math:`F_d > 1/2` the survival function takes its place, so that
neither tail cancels.

References: Figurnov, Mohamed and Mnih (2018), Implicit reparameterization gradients; Graves (2016), Stochastic
backpropagation through mixture density distributions; Rosenblatt (1952), Remarks on a multivariate transformation.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import torch
from torch import Tensor

from ..components.special.normal_cdf import phi

if TYPE_CHECKING:
    from .value import Mixture

__all__ = ["conditional_cdf", "reparameterise"]


def reparameterise(mixture: Mixture, x: Tensor) -> Tensor:
    """Returns the draws ``x`` ``(*S, *B, *event)``, unchanged in value, with gradients in the mixture's parameters."""
    if not mixture.components.has_rosenblatt:
        mixture.components.rosenblatt(x)  # refuses, whether or not a gradient is wanted
    if not (mixture.logits.requires_grad or mixture.components.requires_grad()) or not torch.is_grad_enabled():
        return x
    x = x.detach()
    rows = x if mixture.event_shape else x.unsqueeze(-1)
    with torch.no_grad():
        upper = conditional_cdf(mixture, x, None) > 0.5
    jacobian = _jacobian(mixture, x, upper)
    value = conditional_cdf(mixture, x, upper)
    moved = (value - value.detach()).unsqueeze(-1)
    step = torch.linalg.solve_triangular(jacobian, moved, upper=False).squeeze(-1)
    return (rows - step).reshape(x.shape)


def conditional_cdf(mixture: Mixture, x: Tensor, upper: Tensor | None = None) -> Tensor:
    """Returns :math:`F_d(x)`, with shape ``(*S, *B, D)``; minus the survival function where ``upper``."""
    z, log_density = mixture.components.rosenblatt(x)
    before = log_density.cumsum(-1) - log_density
    omega = torch.softmax(mixture.logits.unsqueeze(-1) + before, -2)
    sign = torch.ones_like(z[..., 0, :]) if upper is None else torch.where(upper, -1.0, 1.0).to(z.dtype)
    tail = phi(z * sign.unsqueeze(-2))
    return sign * (omega * tail).sum(-2)


def _jacobian(mixture: Mixture, x: Tensor, upper: Tensor) -> Tensor:
    """Returns :math:`\\partial F_d / \\partial x_j`, with shape ``(*S, *B, D, D)``, lower triangular."""
    frozen = mixture.detach()
    with torch.enable_grad():
        x = x.clone().requires_grad_()
        value = conditional_cdf(frozen, x, upper)
        features = value.shape[-1]
        rows = [torch.autograd.grad(value[..., d].sum(), x, retain_graph=d + 1 < features)[0] for d in range(features)]
    return torch.stack([row.reshape(value.shape) for row in rows], -2).tril()
