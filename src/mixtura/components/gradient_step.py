r"""M-steps by gradients, for families of which only the density is known.

With unconstrained parameters u of each component, sums over rows of scores and of second derivatives,

.. math:: g = \sum_n r_n \nabla\log p(x_n), \qquad F = \sum_n r_n \nabla\log p\,\nabla\log p^\top, \qquad
    H = -\sum_n r_n \nabla^2\log p,

suffice for one step of Newton's kind (Lange, 1995, A gradient algorithm locally equivalent to the EM algorithm). The
curvature is H measured in units of F, kept away from zero, so that every step ascends; it is no longer than a given
divergence allows. Where F says nothing of a parameter, because the only row lies at its best, H has a little say. Every
row has its own copy of the parameters, so that one pass backward gives all scores, and one more for each parameter H.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence

import torch
from torch import Tensor

__all__ = ["moved", "sums"]

_LEAST = 0.3  # curvature in units of F
_LITTLE = 1e-9  # of F or H, added to F
_FAR = 0.5  # the longest step, in units of F per row
_FEW = 8  # parameters of a component up to which second derivatives are worth their number

Density = Callable[..., Tensor]


def sums(density: Density, parameters: Sequence[Tensor], batch: torch.Size, r: Tensor) -> tuple[Tensor, ...]:
    """Returns g ``(*B, K, P)``, F and H ``(*B, K, P, P)``.

    Arguments:
        density: From the parameters to log-densities ``(N, *B, K)``; they may have a dimension N in front.
        parameters: Unconstrained tensors, each ``(*B, K, ...)``.
        batch: The shape ``(*B, K)``.
        r: Responsibilities, with shape ``(N, *B, K)``.
    """
    own = [tensor.detach().expand(len(r), *tensor.shape).contiguous().requires_grad_() for tensor in parameters]
    with torch.enable_grad():
        scores = _flat(_slopes(density(*own).sum(), own, True), r.shape)
        weighed = r.unsqueeze(-1) * scores
        rows = [_flat(_slopes(one.sum(), own, False), r.shape).double().sum(0) for one in _few(weighed)]
    weighed, scores = weighed.detach().double(), scores.detach().double()
    fisher = torch.einsum("n...p,n...q->...pq", weighed, scores)
    hessian = -torch.stack(rows, -2) if rows else fisher
    return weighed.sum(0), fisher, 0.5 * (hessian + hessian.mT)


def moved(parameters: Sequence[Tensor], batch: torch.Size, share: float, rows: Tensor, *sums: Tensor) -> list[Tensor]:
    """Returns the parameters after one step, or a share of it.

    Arguments:
        parameters: Unconstrained tensors, each ``(*B, K, ...)``.
        batch: The shape ``(*B, K)``.
        share: How much of the step.
        rows: The weight sums, with shape ``(*B, K)``.
        sums: What `sums` returned.
    """
    gradient, fisher, hessian = sums
    each = [one.diagonal(dim1=-2, dim2=-1).abs() for one in (fisher, hessian)]
    least = _LITTLE * torch.maximum(*each).clamp_min(1e-300)  # where scores of a few rows vanish, in the units of each
    root, info = torch.linalg.cholesky_ex(fisher + torch.diag_embed(least))
    inverse = torch.linalg.solve_triangular(
        root, torch.eye(fisher.shape[-1]).to(fisher).expand(root.shape), upper=False
    )
    curvature, axes = torch.linalg.eigh((inverse @ hessian @ inverse.mT).nan_to_num())
    along = (axes.mT @ (inverse @ gradient.unsqueeze(-1))).squeeze(-1) / curvature.abs().clamp_min(_LEAST)
    length = (along.square().sum(-1) / rows.clamp_min(1e-300)).sqrt().unsqueeze(-1)
    along = along * (_FAR / length.clamp_min(_FAR))
    step = share * (inverse.mT @ (axes @ along.unsqueeze(-1))).squeeze(-1)
    step = step.masked_fill((info > 0).unsqueeze(-1), torch.nan)
    return _added(parameters, batch, step)


def _slopes(value: Tensor, parameters: Sequence[Tensor], again: bool) -> list[Tensor]:
    """Derivatives in all parameters, of which there may be further derivatives."""
    if not value.requires_grad:
        return [torch.zeros_like(tensor) for tensor in parameters]
    return list(torch.autograd.grad(value, parameters, create_graph=again, retain_graph=True, materialize_grads=True))


def _few(weighed: Tensor) -> Sequence[Tensor]:
    """The weighed scores of each parameter, where second derivatives are worth their number."""
    return weighed.unbind(-1) if weighed.shape[-1] <= _FEW else ()


def _flat(tensors: Sequence[Tensor], batch: torch.Size) -> Tensor:
    return torch.cat([tensor.reshape(*batch, -1) for tensor in tensors], -1)


def _added(parameters: Sequence[Tensor], batch: torch.Size, step: Tensor) -> list[Tensor]:
    out, start = [], 0
    for tensor in parameters:
        size = tensor.reshape(*batch, -1).shape[-1]
        out.append(tensor + step[..., start : start + size].reshape(tensor.shape).to(tensor.dtype))
        start += size
    return out
