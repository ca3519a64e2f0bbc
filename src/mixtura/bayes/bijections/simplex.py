r"""Weights of K components from K - 1 real numbers.

Both maps are a softmax of K logits :math:`a(u)`, with :math:`\partial w_j/\partial a_k = w_j(\delta_{jk} - w_k)`. Where
one logit is pinned at zero,

.. math:: a = (u_1, \dots, u_{K-1}, 0), \qquad \log\Big|\frac{\partial w_{1:K-1}}{\partial u}\Big| = \sum_k \log w_k,

and where logits sum to zero, :math:`a = V u` with V the K x (K - 1) orthonormal columns of Helmert's matrix (the
isometric log-ratio of Egozcue and others, 2003), it is :math:`\sum_k \log w_k + \tfrac12\log K`: all components are
treated alike.

A floor keeps every weight above f, :math:`w = f + (1 - K f)\,w^\circ`, which is where a prior cut off there lives: a
wall seen from inside is no wall.
"""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor
from torch.distributions import constraints
from torch.distributions.transforms import Transform

__all__ = ["Centred", "Floored", "Pinned"]


class Pinned(Transform):
    """The softmax of numbers and one logit that is zero.

    Example:
        >>> mx.bayes.bijections.Pinned()(torch.zeros(2))
        tensor([0.3333, 0.3333, 0.3333])
    """

    domain = constraints.real_vector
    codomain = constraints.simplex
    bijective = True

    def __eq__(self, other: object) -> bool:
        return type(other) is type(self)

    def _logits(self, u: Tensor) -> Tensor:
        return torch.cat([u, torch.zeros_like(u[..., :1])], -1)

    def _call(self, x: Tensor) -> Tensor:
        return self._logits(x).log_softmax(-1).exp()

    def _inverse(self, y: Tensor) -> Tensor:
        return y[..., :-1].log() - y[..., -1:].log()

    def log_abs_det_jacobian(self, x: Tensor, y: Tensor) -> Tensor:
        return self._logits(x).log_softmax(-1).sum(-1)

    def forward_shape(self, shape: Any) -> Any:
        return (*shape[:-1], shape[-1] + 1)

    def inverse_shape(self, shape: Any) -> Any:
        return (*shape[:-1], shape[-1] - 1)


class Centred(Pinned):
    """The softmax of logits that sum to zero, from their coordinates in an orthonormal basis.

    Example:
        >>> mx.bayes.bijections.Centred()(torch.zeros(2))
        tensor([0.3333, 0.3333, 0.3333])
    """

    def _logits(self, u: Tensor) -> Tensor:
        return (_helmert(u.shape[-1] + 1).to(u) * u.unsqueeze(-2)).sum(-1)

    def _inverse(self, y: Tensor) -> Tensor:
        return (y.log().unsqueeze(-1) * _helmert(y.shape[-1]).to(y)).sum(-2)

    def log_abs_det_jacobian(self, x: Tensor, y: Tensor) -> Tensor:
        half_log = 0.5 * torch.log(torch.tensor(x.shape[-1] + 1.0, dtype=x.dtype, device=x.device))
        return super().log_abs_det_jacobian(x, y) + half_log


class Floored(Pinned):
    """Weights of at least a floor.

    Arguments:
        floor: The least weight; less than 1/K.
        inner: The map onto all weights, which is then shrunk.
    """

    def __init__(self, floor: float, inner: Pinned | None = None) -> None:
        super().__init__()
        self.floor = floor
        self.inner: Any = inner or Centred()

    def __eq__(self, other: object) -> bool:
        return isinstance(other, Floored) and (other.floor, other.inner) == (self.floor, self.inner)

    def _call(self, x: Tensor) -> Tensor:
        return self.floor + (1 - (x.shape[-1] + 1) * self.floor) * self.inner(x)

    def _inverse(self, y: Tensor) -> Tensor:
        return self.inner.inv((y - self.floor) / (1 - y.shape[-1] * self.floor))

    def log_abs_det_jacobian(self, x: Tensor, y: Tensor) -> Tensor:
        k = x.shape[-1] + 1
        room = torch.tensor(1 - k * self.floor, dtype=x.dtype, device=x.device)
        return self.inner.log_abs_det_jacobian(x, y) + (k - 1) * room.log()


def _helmert(size: int) -> Tensor:
    """Orthonormal columns, each orthogonal to ones: ``(K, K - 1)``, in double precision."""
    below = torch.ones(size, size - 1, dtype=torch.float64).triu()
    step = torch.arange(1, size, dtype=torch.float64)
    columns = below - torch.diag_embed(step, offset=-1)[:, :-1]
    return columns / (step * (step + 1)).sqrt()
