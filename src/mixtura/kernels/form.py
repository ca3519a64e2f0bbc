r"""The form of a covariance: what its factors and second moments look like, and the torch arithmetic on them.

A factor is that of the inverse, :math:`W_k` with :math:`\Sigma_k^{-1} = W_k^\top W_k`. With 1 in place of K it is tied:
shared by all components.

| form | factor | squared length of the whitened residual t | second moment |
|---|---|---|---|
| `FULL` | W, lower triangular, (B, K, D, D) | :math:`|W t|^2` | (B, K, D, D) |
| `DIAGONAL` | w, (B, K, D) | :math:`|w * t|^2` | (B, K, D) |
| `SPHERICAL` | w, (B, K) | :math:`|w t|^2` | (B, K) |
| `LOW_RANK` | :math:`[B\ \ w]` of q factors, (B, K, D, q + 1) | :math:`|w * t - B g|^2 + |g|^2` | (B, K, D, D) |

of which the last has :math:`\Sigma^{-1} = w (I + B B^\top)^{-1} w` and :math:`g = (I + B^\top B)^{-1} B^\top (w * t)`.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from typing import Any

import torch
from torch import Tensor

__all__ = ["DIAGONAL", "FULL", "LOW_RANK", "SPHERICAL", "Form"]

_CACHED = 2**16  # numbers of a block that stay in the cache


class Form(ABC):
    """A form of covariances; see the module's table."""

    @abstractmethod
    def shape(self, features: int) -> tuple[int, ...]:
        """The shape of the second moment of one component."""

    @abstractmethod
    def laid_out(self, factor: Tensor) -> Any:
        """Factors (B, K, ...) as `distance` takes them: BK of them."""

    @abstractmethod
    def distance(self, factor: Any, t: Tensor, room: Tensor) -> Tensor:
        """The squared lengths (BK, n) of whitened residuals (BK, D, n), with room for as many."""

    @abstractmethod
    def second(self, weighed: Tensor, t: Tensor) -> Tensor:
        """The sums over rows of weighed residuals times residuals, both (BK, D, n); the former may be used up."""

    @abstractmethod
    def attraction(self, factor: Tensor, x: Tensor, mean: Tensor, r: Tensor) -> Tensor:
        r"""The sum :math:`\sum_k r_{nk} \Sigma_k^{-1} (\mu_k - x_n)`, (N, D), for one mixture and any r (N, K)."""


class _Full(Form):
    def shape(self, features: int) -> tuple[int, ...]:
        return features, features

    def laid_out(self, factor: Tensor) -> Tensor:
        return factor.flatten(0, 1)

    def distance(self, factor: Any, t: Tensor, room: Tensor) -> Tensor:
        return _squared(torch.bmm(factor, t, out=room))

    def second(self, weighed: Tensor, t: Tensor) -> Tensor:
        return torch.bmm(weighed, t.mT)

    def attraction(self, factor: Tensor, x: Tensor, mean: Tensor, r: Tensor) -> Tensor:
        centre, precision = mean.mean(0), factor.mT @ factor
        if len(factor) != len(mean):
            return (r @ (mean - centre) - r.sum(-1, keepdim=True) * (x - centre)) @ precision[0]
        offset, flat = (precision @ (mean - centre).unsqueeze(-1)).flatten(0, 1), precision.flatten(0, 1)
        out, height = torch.empty_like(x), max(256, _CACHED // mean.numel())
        for rows, believed, pull in zip(x.split(height), r.split(height), out.split(height), strict=True):
            each = torch.addmm(offset, flat, (rows - centre).mT, alpha=-1).view(*mean.shape, -1)  # (K, D, n)
            pull.copy_(each.mul_(believed.mT.unsqueeze(1)).sum(0).mT)
        return out


class _Diagonal(Form):
    def shape(self, features: int) -> tuple[int, ...]:
        return (features,)

    def laid_out(self, factor: Tensor) -> Tensor:
        return factor.flatten(0, 1).unsqueeze(-1)

    def distance(self, factor: Any, t: Tensor, room: Tensor) -> Tensor:
        return _squared(torch.mul(factor, t, out=room))

    def second(self, weighed: Tensor, t: Tensor) -> Tensor:
        return weighed.mul_(t).sum(-1)

    def attraction(self, factor: Tensor, x: Tensor, mean: Tensor, r: Tensor) -> Tensor:
        precision, centre = factor.square(), mean.mean(0)
        near = mean - centre
        if len(factor) != len(mean):
            return precision * (r @ near - r.sum(-1, keepdim=True) * (x - centre))
        return r @ (precision * near) - (x - centre) * (r @ precision)


class _Spherical(_Diagonal):
    def shape(self, features: int) -> tuple[int, ...]:
        return ()

    def laid_out(self, factor: Tensor) -> Tensor:
        return factor.reshape(-1, 1, 1)

    def second(self, weighed: Tensor, t: Tensor) -> Tensor:
        return super().second(weighed, t).sum(-1)

    def attraction(self, factor: Tensor, x: Tensor, mean: Tensor, r: Tensor) -> Tensor:
        return super().attraction(factor.unsqueeze(-1), x, mean, r)


class _LowRank(_Full):
    def laid_out(self, factor: Tensor) -> tuple[Tensor, Tensor, Tensor]:
        scaled, inverse_scale = factor[..., :-1], factor[..., -1:]
        capacitance = scaled.mT @ scaled + torch.eye(scaled.shape[-1]).to(scaled)
        expected = torch.linalg.inv(capacitance) @ (scaled * inverse_scale).mT  # g from a residual
        parts = expected, scaled / inverse_scale, inverse_scale.square().mT
        found = (part.flatten(0, 1) for part in parts)
        return next(found), next(found), next(found)

    def distance(self, factor: Any, t: Tensor, room: Tensor) -> Tensor:
        expected, loadings, precision = factor
        g = torch.bmm(expected, t)
        left = torch.baddbmm(t, loadings, g, alpha=-1, out=room)
        return torch.bmm(precision, left.square_()).squeeze(1) + g.square_().sum(1)

    def attraction(self, factor: Tensor, x: Tensor, mean: Tensor, r: Tensor) -> Tensor:
        total = torch.zeros_like(x)
        each = factor.expand(len(mean), -1, -1).unsqueeze(0)
        for k, one in enumerate(zip(*self.laid_out(each), strict=True)):
            (expected, loadings, precision), t = one, (mean[k] - x).mT
            total += r[:, k, None] * (t.addmm(loadings, expected @ t, alpha=-1) * precision.mT).mT
        return total


def _squared(z: Tensor) -> Tensor:
    return torch.mul(z, z, out=z).sum(1)


FULL, DIAGONAL, SPHERICAL, LOW_RANK = _Full(), _Diagonal(), _Spherical(), _LowRank()
