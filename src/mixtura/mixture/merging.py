r"""Mixture reduction: fewer components, same mean and covariance.

Merging components i and j keeps their joint weight, mean and covariance,

.. math:: w = w_i + w_j, \quad \mu = (w_i\mu_i + w_j\mu_j)/w, \quad
    \Sigma = \frac{w_i\Sigma_i + w_j\Sigma_j}{w} + \frac{w_i w_j}{w^2} (\mu_i-\mu_j)(\mu_i-\mu_j)^\top,

and costs at most :math:`\tfrac12[w\log|\Sigma| - w_i\log|\Sigma_i| - w_j\log|\Sigma_j|]` nats of Kullback-Leibler
divergence. The cheapest pair is merged until enough are gone (Runnalls, 2007, Kullback-Leibler approach to Gaussian
mixture reduction). Log-normal components merge as the Gaussians of their logarithms, which costs the same.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import torch
from torch import Tensor

from ..components import Full, Gaussian
from ..errors import NotClosedForm, refuse

if TYPE_CHECKING:
    from .value import Mixture

__all__ = ["reduce"]


def reduce(mixture: Mixture, components: int) -> Mixture:
    """Merges the closest components until that many remain; see `Mixture.reduce`."""
    if not 1 <= components <= mixture.logits.shape[-1]:
        refuse("components", f"between 1 and {mixture.logits.shape[-1]}", components)
    if not mixture.components.gaussian_image:
        raise NotClosedForm(f"{type(mixture.components).__name__} components have no closed form for merging.")
    gaussian = mixture.components.gaussian
    batch = mixture.batch_shape
    entries = zip(
        mixture.weights.reshape(-1, mixture.logits.shape[-1]),
        gaussian.location.reshape(-1, *gaussian.location.shape[-2:]),
        gaussian.covariance.reshape(-1, *gaussian.covariance.shape[-3:]),
        strict=True,
    )
    reduced = [_merge_down(*entry, components) for entry in entries]
    weights, mean, covariance = (
        torch.stack(parts).reshape(*batch, *parts[0].shape) for parts in zip(*reduced, strict=True)
    )
    merged = Gaussian(mean, Full._of(factor=torch.linalg.cholesky(covariance), tied=False))
    return type(mixture)(weights, mixture.components.with_gaussian(merged))


def _merge_down(weights: Tensor, mean: Tensor, covariance: Tensor, components: int) -> tuple[Tensor, Tensor, Tensor]:
    while len(weights) > components:
        joined = _joined(weights, mean, covariance)
        flat = int(_cost(weights, covariance, *joined).argmin())
        i, j = divmod(flat, len(weights))
        rest = [k for k in range(len(weights)) if k != j]
        stacked = (
            torch.where(_at(i, old), new[i, j], old)[rest]
            for old, new in zip((weights, mean, covariance), joined, strict=True)
        )
        weights, mean, covariance = stacked
    return weights, mean, covariance


def _joined(weights: Tensor, mean: Tensor, covariance: Tensor) -> tuple[Tensor, Tensor, Tensor]:
    """Returns weight, mean and covariance of every pair merged, with leading shape ``(K, K)``."""
    total = weights[:, None] + weights
    some = total > 0  # the inner choice keeps the gradient finite where two components both weigh nothing
    share = torch.where(some, weights[:, None] / torch.where(some, total, 1), 0.5)[..., None]
    gap = mean[:, None] - mean
    middle = share * mean[:, None] + (1 - share) * mean
    share = share[..., None]
    between = share * (1 - share) * gap[..., None] * gap[..., None, :]
    return total, middle, share * covariance[:, None] + (1 - share) * covariance + between


def _cost(weights: Tensor, covariance: Tensor, total: Tensor, mean: Tensor, joined: Tensor) -> Tensor:
    """Returns Runnalls' bound for every pair i < j, infinite elsewhere."""
    own = weights * torch.logdet(covariance)
    cost = 0.5 * (total * torch.logdet(joined) - own[:, None] - own)
    return torch.where(torch.ones_like(cost).triu(1) > 0, cost, torch.inf)


def _at(index: int, like: Tensor) -> Tensor:
    mask = torch.arange(len(like), device=like.device) == index
    return mask.reshape(-1, *(1,) * (like.ndim - 1))
