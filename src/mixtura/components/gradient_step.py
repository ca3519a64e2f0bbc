r"""M-steps by gradients, for families of which only the density is known.

With unconstrained parameters u of each component, sums over rows of scores and of second derivatives,

.. math:: g = \sum_n r_n \nabla\log p(x_n), \qquad F = \sum_n r_n \nabla\log p\,\nabla\log p^\top, \qquad
    H = -\sum_n r_n \nabla^2\log p,

suffice for one step of Newton's kind (Lange, 1995, A gradient algorithm locally equivalent to the EM algorithm). The
curvature is H measured in units of F, kept away from zero, so that every step ascends; it is no longer than a given
divergence allows. Scores are taken forward, one direction for all components at once, and H backward through them.
"""

from __future__ import annotations

import warnings
from collections.abc import Callable, Sequence
from functools import cache

import torch
from torch import Tensor
from torch.autograd import forward_ad

__all__ = ["moved", "sums"]

_LEAST = 0.3  # curvature in units of F
_FAR = 0.5  # the longest step, in units of F per row
_FEW = 8  # parameters of a component up to which second derivatives are worth their number

Density = Callable[..., Tensor]


def sums(density: Density, parameters: Sequence[Tensor], batch: torch.Size, r: Tensor) -> tuple[Tensor, ...]:
    """Returns g ``(*B, K, P)``, F and H ``(*B, K, P, P)``.

    Arguments:
        density: From the parameters to log-densities ``(N, *B, K)``.
        parameters: Unconstrained tensors, each ``(*B, K, ...)``.
        batch: The shape ``(*B, K)``.
        r: Responsibilities, with shape ``(N, *B, K)``.
    """
    _prepare()
    directions = _directions(parameters, batch)
    second = len(directions) <= _FEW
    slopes, rows = zip(*(_derivatives(density, parameters, one, r, second) for one in directions), strict=True)
    scores = torch.stack(slopes, -1)
    weighed = r.unsqueeze(-1) * scores
    fisher = torch.einsum("n...p,n...q->...pq", weighed, scores).double()
    hessian = -torch.stack([_flat(row, batch) for row in rows], -2).double() if second else fisher
    return weighed.sum(0).double(), fisher, 0.5 * (hessian + hessian.mT)


def moved(parameters: Sequence[Tensor], batch: torch.Size, rows: Tensor, *sums: Tensor) -> list[Tensor]:
    """Returns the parameters after one step.

    Arguments:
        parameters: Unconstrained tensors, each ``(*B, K, ...)``.
        batch: The shape ``(*B, K)``.
        rows: The weight sums, with shape ``(*B, K)``.
        sums: What `sums` returned.
    """
    gradient, fisher, hessian = sums
    scale = fisher.diagonal(dim1=-2, dim2=-1).mean(-1)[..., None, None].clamp_min(1e-300)
    root, info = torch.linalg.cholesky_ex(fisher + 1e-9 * scale * torch.eye(fisher.shape[-1]).to(fisher))
    inverse = torch.linalg.solve_triangular(
        root, torch.eye(fisher.shape[-1]).to(fisher).expand(root.shape), upper=False
    )
    curvature, axes = torch.linalg.eigh((inverse @ hessian @ inverse.mT).nan_to_num())
    along = (axes.mT @ (inverse @ gradient.unsqueeze(-1))).squeeze(-1) / curvature.abs().clamp_min(_LEAST)
    length = (along.square().sum(-1) / rows.clamp_min(1e-300)).sqrt().unsqueeze(-1)
    along = along * (_FAR / length.clamp_min(_FAR))
    step = (inverse.mT @ (axes @ along.unsqueeze(-1))).squeeze(-1)
    step = step.masked_fill((info > 0).unsqueeze(-1), torch.nan)
    return _added(parameters, batch, step)


@cache
def _prepare() -> None:
    """Loads torch's forward derivatives, which it does by a deprecated tool of its own, with a warning."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", DeprecationWarning)
        with forward_ad.dual_level():
            forward_ad.make_dual(torch.zeros(()), torch.zeros(()))


def _directions(parameters: Sequence[Tensor], batch: torch.Size) -> list[list[Tensor]]:
    """For each parameter of a component, tangents that move it in all components."""
    found = []
    for i, tensor in enumerate(parameters):
        flat = tensor.reshape(*batch, -1)
        for j in range(flat.shape[-1]):
            tangents = [other.new_zeros(other.shape) for other in parameters]
            tangents[i].reshape(*batch, -1)[..., j] = 1
            found.append(tangents)
    return found


def _derivatives(
    density: Density, parameters: Sequence[Tensor], tangents: list[Tensor], r: Tensor, second: bool
) -> tuple[Tensor, list[Tensor]]:
    """Slopes of the log-densities along tangents, and of their weighted sum in all parameters."""
    inputs = [tensor.detach().contiguous().requires_grad_(second) for tensor in parameters]
    with torch.set_grad_enabled(second), forward_ad.dual_level():
        duals = [forward_ad.make_dual(one, tangent) for one, tangent in zip(inputs, tangents, strict=True)]
        out = forward_ad.unpack_dual(density(*duals))
        slope = torch.zeros_like(out.primal) if out.tangent is None else out.tangent
        if not second or not slope.requires_grad:
            return slope.detach(), [torch.zeros_like(tensor) for tensor in inputs]
        return slope.detach(), list(torch.autograd.grad((r * slope).sum(), inputs, materialize_grads=True))


def _flat(tensors: Sequence[Tensor], batch: torch.Size) -> Tensor:
    return torch.cat([tensor.reshape(*batch, -1) for tensor in tensors], -1)


def _added(parameters: Sequence[Tensor], batch: torch.Size, step: Tensor) -> list[Tensor]:
    out, start = [], 0
    for tensor in parameters:
        size = tensor.reshape(*batch, -1).shape[-1]
        out.append(tensor + step[..., start : start + size].reshape(tensor.shape).to(tensor.dtype))
        start += size
    return out
