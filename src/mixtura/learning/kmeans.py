r"""K-means: the same loop with hard labels and one shared spherical scale.

With equal weights and a shared scale the most probable component is the nearest one, so hard labels are Lloyd's
assignment, and matching the sums moves each mean to the centre of its rows. The objective is the classification
log-likelihood at its best scale, :math:`s^2 = J / (N D)`,

.. math:: \ell = -\tfrac{ND}{2}\big(1 + \log(2\pi J/(ND))\big) - N \log K, \qquad
    J = \sum_n \min_k |x_n - \mu_k|^2,

which rises exactly when the sum of squares J falls (Lloyd, 1982).
"""

from __future__ import annotations

import math
from dataclasses import dataclass

import torch
from torch import Tensor

from ..components import Gaussian, Labels, Normal, Spherical, Statistics
from ..components.pairs import as_gaussian
from ..data import Rows
from ..mixture import Mixture
from .em import check_limits
from .families import Family, GaussianFamily
from .labels import hard
from .loop import Method

__all__ = ["KMeans", "centres"]


@dataclass(frozen=True)
class KMeans(Method):
    """K-means as hard expectation maximisation (Lloyd's algorithm, exact).

    Arguments:
        max_iterations: The largest number of updates, at least 1.
        tolerance: The gain still to come, in nats per row; 0 runs all iterations.

    A cluster that loses all its rows keeps its centre.

    Example:
        >>> fit = mx.fit(mx.datasets.old_faithful(), components=2, method=mx.KMeans())
        >>> fit.mixture.order().components.mean[:, 1].round()
        tensor([80., 55.], dtype=torch.float64)
    """

    max_iterations: int = 300
    tolerance: float = 1e-9

    def __post_init__(self) -> None:
        check_limits(self.max_iterations, self.tolerance)

    @property
    def labels(self) -> Labels:
        return hard

    def start(self, family: Family, x: Tensor, r: Tensor) -> Mixture:
        vectors = x.unsqueeze(-1) if x.ndim == 1 else x
        components = GaussianFamily(Spherical(tied=True)).start(vectors, r)
        logits = components.location.new_full(components.batch_shape, -math.log(r.shape[-1]))
        return Mixture._of(logits, Normal.of(components) if x.ndim == 1 else components)

    def begin(self, start: Mixture, rows: Rows) -> Mixture:
        """Keeps the means of a given mixture; its weights and covariances have no part in K-means."""
        gaussian = as_gaussian(start.components)
        begun = centres(gaussian.location, gaussian.variance.mean((-2, -1)).unsqueeze(-1))
        family = begun.components if rows.event_shape else Normal.of(as_gaussian(begun.components))
        return Mixture._of(begun.logits, family)

    def update(self, statistics: Statistics, mixture: Mixture) -> Mixture:
        shift, scatter = statistics.moments
        gaussian = as_gaussian(mixture.components)
        step = torch.where(statistics.weight.unsqueeze(-1) > 0, shift / statistics.weight.unsqueeze(-1), 0)
        mean = (gaussian.location + step).to(mixture.dtype)
        between = (step.square().sum(-1) * statistics.weight).sum(-1, keepdim=True)
        total = statistics.weight.sum(-1, keepdim=True) * gaussian.features
        structure = gaussian.structure._replace(factor=((scatter - between) / total).sqrt().to(mixture.dtype))
        updated = gaussian._of(location=mean, structure=structure)
        return Mixture._of(mixture.logits, Normal.of(updated) if isinstance(mixture.components, Normal) else updated)

    def objective(self, statistics: Statistics, mixture: Mixture) -> Tensor:
        total = statistics.weight.sum(-1)
        values = total * math.prod(mixture.event_shape)
        spread = statistics.moments[1].squeeze(-1) / values
        return -0.5 * values * (1 + (2 * math.pi * spread).log()) - total * math.log(mixture.logits.shape[-1])


def centres(mean: Tensor, variance: Tensor) -> Mixture:
    """Returns the mixture that K-means learns: these means ``(*B, K, D)``, equal weights, one shared variance."""
    factor = variance.sqrt().expand(*mean.shape[:-2], 1).to(mean)
    components = Gaussian._of(location=mean, structure=Spherical._of(factor=factor, tied=True))
    return Mixture._of(mean.new_full(mean.shape[:-1], -math.log(mean.shape[-2])), components)
