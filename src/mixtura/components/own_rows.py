r"""Log-densities of rows that each have a mixture of Gaussians of their own, with gradients in closed form.

With responsibilities :math:`r_{nk}` and an incoming gradient :math:`g_n`, a parameter :math:`\theta_{nk}` of a
component has the gradient

.. math:: g_n\, r_{nk}\, \partial_\theta \log p_{nk}(x_n), \qquad \partial \log w_{nk} = g_n r_{nk}, \qquad
    \partial x_n = -\sum_k \partial\mu_{nk},

so the way back costs what the way there does, and keeps log joints (N, K) alone; `mixtura.kernels.own_rows` has the
slopes. Gradients of gradients go through the plain expression.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import TYPE_CHECKING, Any, NamedTuple

import torch
from torch import Tensor

from ..kernels.own_rows import OwnRows, distance, slopes
from .base import Component
from .covariance.diagonal import Diagonal
from .covariance.spherical import Spherical
from .covariance.structure import Structure
from .covariance.unit_triangle import UnitTriangle

if TYPE_CHECKING:
    from .gaussian import Gaussian

__all__ = ["log_density", "serves"]

_HALF_LOG_TWO_PI = 0.5 * math.log(2 * math.pi)


def serves(gaussian: Gaussian, x: Tensor) -> bool:
    """Whether each of the rows ``(*B, D)`` has a mixture of its own, of a structure that has its gradients here."""
    mean = gaussian.location
    own = x.ndim > 1 and x.shape == mean.shape[:-2] + mean.shape[-1:] and mean.stride(0) > 0
    return own and x.dtype == gaussian.dtype and type(gaussian.structure) in _SERVED


def log_density(gaussian: Gaussian, logits: Tensor, x: Tensor) -> Tensor:
    """Returns the log-density of rows ``(*B, D)`` under their own mixtures, ``(*B)``, differentiable in everything."""
    given = x, logits, gaussian.location, *gaussian.structure.tensors()
    return _LogDensity.apply(gaussian.detach(), *given)  # type: ignore[return-value]


class _LogDensity(torch.autograd.Function):
    @staticmethod
    def forward(ctx: Any, gaussian: Gaussian, x: Tensor, logits: Tensor, *given: Tensor) -> Tensor:
        q, volume = distance(_side_by_side(gaussian, x)), gaussian.structure.half_logdet(gaussian.features)
        joint = logits - (volume + gaussian.features * _HALF_LOG_TWO_PI) - 0.5 * q.reshape(logits.shape)
        density = torch.logsumexp(joint, -1)
        ctx.gaussian = gaussian
        ctx.save_for_backward(x, logits, *given, joint, density)
        return density

    @staticmethod
    def backward(ctx: Any, *incoming: Tensor) -> tuple[Tensor | None, ...]:
        (g,), (x, logits, *given, joint, density) = incoming, ctx.saved_tensors
        if torch.is_grad_enabled():
            return None, *_by_expression(ctx.gaussian, (x, logits, *given), g)
        sure = density.nan_to_num(0.0, 0.0, 0.0).unsqueeze(-1)  # of no density there is no gradient
        share = g.unsqueeze(-1) * (joint - sure).exp()
        found = slopes(_side_by_side(ctx.gaussian, x), share.reshape(-1, share.shape[-1]))
        pull, *rest = (slope.mT.reshape(*share.shape[:-1], *slope.mT.shape[1:]) for slope in found)
        rows = -pull.sum(-2) if ctx.needs_input_grad[1] else None
        return None, rows, share, pull, *_SERVED[type(ctx.gaussian.structure)].gradients(*rest)


def _by_expression(gaussian: Gaussian, given: tuple[Tensor, ...], g: Tensor) -> tuple[Tensor | None, ...]:
    x, logits, *parameters = given
    own = iter(parameters)
    value = Component.mixture_log_prob(gaussian.map(lambda _: next(own)), logits, x)
    wanted = [tensor for tensor in given if tensor.requires_grad]
    found = iter(torch.autograd.grad(value, wanted, g, create_graph=True))
    return tuple(next(found) if tensor.requires_grad else None for tensor in given)


# -- what a structure says: its numbers, and the gradients in its tensors


class _Own(NamedTuple):
    """How a structure is read.

    Attributes:
        parts: Its scales ``(*B, K or 1, D)`` and triangles ``(*B, K or 1, P)``, with P of zero where there are none.
        gradients: Those in its tensors, from those in scales and triangles.
    """

    parts: Callable[[Any, int], tuple[Tensor, Tensor]]
    gradients: Callable[[Tensor, Tensor], tuple[Tensor, ...]]


def _on_their_own(structure: Structure, features: int) -> tuple[Tensor, Tensor]:
    scale = structure.scales(features)
    return scale, scale[..., :0]


_SERVED: dict[type[Structure], _Own] = {
    Spherical: _Own(_on_their_own, lambda scale, below: (scale.sum(-1),)),
    Diagonal: _Own(_on_their_own, lambda scale, below: (scale,)),
    UnitTriangle: _Own(
        lambda structure, features: (structure.given, structure.below), lambda scale, below: (scale, below)
    ),
}


def _side_by_side(gaussian: Gaussian, x: Tensor) -> OwnRows:
    parts = _SERVED[type(gaussian.structure)].parts(gaussian.structure, gaussian.features)
    return OwnRows(x.reshape(-1, x.shape[-1]), *(tensor.flatten(0, -3).mT for tensor in (gaussian.location, *parts)))
