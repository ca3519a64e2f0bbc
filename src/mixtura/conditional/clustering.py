r"""Mixtures from a clustering: rows go to the nearest centre, and each cluster becomes a component.

Near is meant in units of each column's standard deviation, so that a change of units changes nothing. With :math:`n_k`
rows in cluster k, of mean :math:`\mu_k` and second moment :math:`C_k` about it, Gaussian components have weights
:math:`n_k / N`, means :math:`\mu_k` and covariances :math:`C_k` in the structure asked for; where components share a
covariance, it is :math:`\sum_k n_k C_k / N`. That is one M-step of EM with the labels given. Other families make of the
clusters what their fits start from.

A cluster that spreads over fewer directions than its covariance needs, such as one of a single row, has no density. Its
covariance is that under a prior of one row: :math:`(n_k C_k + V)/(n_k + 1)`, with V the variances of all rows along the
axes. A cluster without rows has the weight of half a row.
"""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Generator, Tensor

from ..components import Component, Diagonal, Family, Gaussian, Structure
from ..learning import Initialiser, KMeansPlusPlus, KMeansStart, RandomRows, hard
from ..mixture import Mixture

__all__ = ["CENTRES", "Clusters", "clusters", "gaussians", "members"]

CENTRES: dict[str, Initialiser] = {
    "kmeans++": KMeansPlusPlus(),
    "kmeans": KMeansStart(),
    "random": RandomRows(),
}
"""The ways to choose centres, by name."""


@dataclass(frozen=True, eq=False)
class Clusters:
    """Sums over the rows of each cluster.

    Attributes:
        centre: The centres, with shape ``(K, F)``.
        rows: How many rows went to each, ``(K,)``.
        shift: The sums of rows about the centres, ``(K, F)``.
        scatter: The sums of their second moments, ``(K, F, F)``.
        variance: The variances of all rows, ``(F,)``.
    """

    centre: Tensor
    rows: Tensor
    shift: Tensor
    scatter: Tensor
    variance: Tensor

    @property
    def logits(self) -> Tensor:
        """The logarithms of the shares of the clusters."""
        return self.rows.clamp_min(0.5).log().log_softmax(-1)


def clusters(x: Tensor, components: int, strategy: Initialiser, source: Generator | None) -> Clusters:
    """Returns the clusters of rows ``(N, F)`` around centres.

    Arguments:
        x: The rows.
        components: The number of clusters K.
        strategy: Where the centres are.
        source: The source of randomness.
    """
    around = _centres(x, components, strategy, source)
    found = around.expect(x.new_zeros(components), x, None, hard)
    shift, scatter = found.moments
    return Clusters(around.mean, found.weight, shift, scatter, x.double().var(0, correction=0))


def gaussians(found: Clusters, structure: Structure) -> Mixture:
    """Returns the clusters as Gaussians of a structure."""
    rows = found.rows.clamp_min(1)
    gap = found.shift / rows.unsqueeze(-1)
    moment = found.scatter - rows[..., None, None] * gap.unsqueeze(-1) * gap.unsqueeze(-2)
    spread = _spread(structure, structure.pool(found.rows), structure.pool(moment, 2), found.variance)
    components = Gaussian((found.centre + gap).to(found.centre), spread.to(found.centre.dtype))
    return Mixture(logits=found.logits, components=components)


def _spread(structure: Structure, rows: Tensor, moment: Tensor, variance: Tensor) -> Structure:
    """The structure at sums of second moments, those of singular covariances under a prior of one row."""
    alone, prior = moment / rows[..., None, None], (moment + torch.diag(variance)) / (rows + 1)[..., None, None]
    narrow = structure.with_covariance(alone).singular(len(variance))
    return structure.with_covariance(torch.where(narrow[..., None, None], prior, alone))


def members(x: Tensor, family: Family, components: int, strategy: Initialiser, source: Generator | None) -> Mixture:
    """Returns the clusters of rows ``(N, *event)`` as members of a family."""
    around = _centres(family.embed(x), components, strategy, source)
    r = hard(around.log_prob(family.embed(x)))
    started: Component = family.start(x, r.unsqueeze(1)).batch(0)
    return Mixture(r.sum(0).clamp_min(0.5), started)


def _centres(x: Tensor, components: int, strategy: Initialiser, source: Generator | None) -> Gaussian:
    """Gaussians of the columns' own spread around centres: a row's likeliest is its nearest."""
    variance = x.var(0, correction=0)
    unit = torch.where(variance > 0, variance, 1).sqrt()
    centre = strategy(x / unit, x.new_ones(len(x)), components, 1, source)[0] * unit
    return Gaussian(centre, Diagonal(unit.square().expand(components, -1)).full(len(unit)))
