r"""Templates of families: what kind of components a fit is to learn, before it has any.

A template turns a first guess of responsibilities into components. Gaussians start with the pooled covariance of the
rows about their centres, blended with a little of the whole data's, which is never singular where the data are not.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Protocol

import torch
from torch import Tensor

from ..components import Component, Gaussian, Normal, Structure

__all__ = ["Family", "GaussianFamily", "NormalFamily"]

_BLEND = 0.01  # how much of the total covariance is mixed into the first guess


class Family(Protocol):
    """A kind of component that a fit can start from responsibilities."""

    def start(self, x: Tensor, r: Tensor) -> Component:
        """Returns components for rows ``(N, *event)`` and responsibilities ``(N, B, K)``, weights included."""
        ...


@dataclass(frozen=True)
class GaussianFamily:
    """Gaussians of a covariance structure."""

    structure: Structure

    def start(self, x: Tensor, r: Tensor) -> Gaussian:
        """Returns Gaussians at the centres of the responsibilities, with one shared starting covariance."""
        weight = r.sum(0)
        origin = x.mean(0)
        mean = torch.einsum("nbk,nd->bkd", r, x - origin) / weight.clamp_min(torch.finfo(x.dtype).tiny).unsqueeze(-1)
        pooled = _pooled(x - origin, r, mean)
        one = 1 if self.structure.tied else mean.shape[-2]
        shared = pooled.unsqueeze(-3).expand(-1, one, -1, -1)
        return Gaussian._of(location=mean + origin, structure=self.structure.with_covariance(shared))


@dataclass(frozen=True)
class NormalFamily:
    """Normal distributions on numbers, with a scale each or one shared."""

    structure: Structure

    def start(self, x: Tensor, r: Tensor) -> Normal:
        """Returns normals at the centres of the responsibilities, with one shared starting scale."""
        return Normal.of(GaussianFamily(self.structure).start(x.unsqueeze(-1), r))


def _pooled(x: Tensor, r: Tensor, mean: Tensor) -> Tensor:
    """Returns the covariance about the centres, pooled over components, with shape ``(B, D, D)``."""
    row_weight = r.sum(-1)
    total = row_weight.sum(0)[:, None, None]
    middle = torch.einsum("nb,nd->bd", row_weight, x) / total.squeeze(-1)
    gap = x.unsqueeze(1) - middle
    whole = torch.einsum("nb,nbi,nbj->bij", row_weight, gap, gap) / total
    lag = mean - middle.unsqueeze(-2)
    between = torch.einsum("bk,bki,bkj->bij", r.sum(0), lag, lag) / total
    return (1 - _BLEND) * (whole - between) + _BLEND * whole
