r"""Rows that each have their own Gaussian errors: the E-step of extreme deconvolution.

A row is :math:`y = x + \varepsilon_n` with :math:`\varepsilon_n \sim N(0, S_n)` and x from the mixture. With
:math:`T_{nk} = V_k + S_n`, :math:`L L^\top = T` and :math:`X = L^{-1}`,

.. math:: z = X (y_n - \mu_k), \quad q = X^\top z, \quad T^{-1} = X^\top X, \quad
    \log p_{nk} = \log w_k - \tfrac12 |z|^2 + \sum_i \log X_{ii} - \tfrac D2 \log 2\pi,

and the sums are :math:`u_k = \sum r q` and :math:`Q_k = \sum r (q q^\top - T^{-1})`, the gradients of the
log-likelihood in mean and covariance. A coordinate that was not recorded (NaN) keeps its place with a residual of zero
and a variance of one, which leaves T block diagonal, and its density of :math:`(2\pi)^{-1/2}` is left out.
"""

from __future__ import annotations

import math
from collections.abc import Iterator
from dataclasses import dataclass
from typing import TYPE_CHECKING

import torch
from torch import Tensor

from ..errors import MixtureError
from .extra import Beyond, Extra, Read
from .residuals import alike

if TYPE_CHECKING:
    from .plan import Plan

__all__ = ["RowErrors"]

_HALF_LOG_TWO_PI = 0.5 * math.log(2 * math.pi)
_ENTRIES = 2**21  # of the matrices of a block of rows


@dataclass(frozen=True, eq=False)
class RowErrors(Extra):
    """Variances of independent errors (N or 1, D), or their covariances (N or 1, D, D).

    The plan is of form `FULL`, its logits are the log weights, and its factor holds the covariances V themselves,
    (B, K, D, D), since no factor is common to rows. Sums of Q are never pooled.
    """

    noise: Tensor
    beyond = Beyond.ERRORS

    def read(self, plan: Plan, x: Tensor) -> Iterator[Read]:
        for rows, seen in self._seen(plan, x):
            yield Read(rows, seen.joint.permute(1, 2, 0).contiguous(), seen.sums)

    def score(self, plan: Plan, x: Tensor, joint: Tensor, r: Tensor) -> Tensor:
        pulls = ((r[rows].unsqueeze(-1) * seen.pull[:, 0]).sum(1) for rows, seen in self._seen(plan, x))
        return -torch.cat(list(pulls))

    def rows(self, rows: slice) -> RowErrors:
        return self if len(self.noise) == 1 else RowErrors(self.noise[rows])

    def _seen(self, plan: Plan, x: Tensor) -> Iterator[tuple[slice, _Seen]]:
        noise = self.noise if self.noise.ndim == 3 else torch.diag_embed(self.noise)
        noise = noise.to(x.dtype).expand(len(x), -1, -1)
        height = max(1, _ENTRIES // (plan.mean.numel() * plan.mean.shape[-1]))
        for start in range(0, len(x), height):
            rows = slice(start, start + height)
            yield rows, _Seen(plan, x[rows], noise[rows])


class _Seen:
    """Recorded rows under each component."""

    def __init__(self, plan: Plan, y: Tensor, noise: Tensor) -> None:
        centre, mean = alike(y, plan.mean)
        absent = y.isnan()[:, None, None]
        residual = ((y if centre is None else y - centre)[:, None, None] - mean).masked_fill(absent, 0.0)
        apart, identity = absent.unsqueeze(-1) | absent.unsqueeze(-2), torch.eye(y.shape[-1]).to(y)
        total = plan.factor.to(y.dtype) + noise[:, None, None]
        lower = _cholesky(torch.where(apart, identity * absent.unsqueeze(-1), total))
        inverse = torch.linalg.solve_triangular(lower, identity, upper=False)
        z = (inverse @ residual.unsqueeze(-1)).squeeze(-1)
        half_logdet = lower.diagonal(dim1=-2, dim2=-1).log().sum(-1)
        constant = (~absent).to(y).sum(-1) * _HALF_LOG_TWO_PI
        self.joint = plan.logits.to(y.dtype) - 0.5 * z.square().sum(-1) - half_logdet - constant
        self.back = inverse.masked_fill(absent.unsqueeze(-2), 0.0)
        self.pull = (self.back.mT @ z.unsqueeze(-1)).squeeze(-1)

    def sums(self, r: Tensor) -> list[Tensor]:
        """The sums u and Q of the module's equations, from responsibilities (B, K, n)."""
        r = r.permute(2, 0, 1)
        weighted = (r.unsqueeze(-1) * self.pull).double()
        outer = torch.einsum("n...i,n...j->...ij", weighted, self.pull.double())
        weighed = (r[..., None, None] * self.back).double()
        return [weighted.sum(0), outer - torch.einsum("n...mi,n...mj->...ij", weighed, self.back.double())]


def _cholesky(covariance: Tensor) -> Tensor:
    factor, info = torch.linalg.cholesky_ex(covariance)
    if bool((info > 0).any()):
        raise MixtureError(
            "`covariance` of the errors plus the mixture's own must be positive definite; got a singular one. "
            "Give errors above zero."
        )
    return factor
