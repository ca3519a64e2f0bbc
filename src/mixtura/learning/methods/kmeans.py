r"""K-means: the same loop with hard labels and one shared spherical scale.

With equal weights and a shared scale the most probable component is the nearest one, so hard labels are Lloyd's
assignment, and matching the sums moves each mean to the centre of its rows. The objective is the classification
log-likelihood at its best scale, :math:`s^2 = J / (N D)`,

.. math:: \ell = -\tfrac{ND}{2}\big(1 + \log(2\pi J/(ND))\big) - N \log K, \qquad
    J = \sum_n \min_k |x_n - \mu_k|^2,

which rises exactly when the sum of squares J falls (Lloyd, 1982).

A cluster without rows takes the row farthest from its own centre: J falls by that row's squared distance at once, and
by more when the centre it left moves. So J never rises, whatever happens to a cluster.
"""

from __future__ import annotations

import math
from dataclasses import dataclass, field, replace
from functools import reduce
from operator import add

import torch
from torch import Tensor

from ...components import Component, Family, Gaussian, Labels, Spherical, Statistics
from ...components.normal import of_rows
from ...data import Block, Rows
from ...errors import refuse
from ...kernels import Plan, sums
from ...kernels.small import Limits, clusters
from ...mixture import Mixture
from ..expectation.expect import block_size
from ..expectation.labels import hard
from ..loop.leaps import noted, plain_table
from ..loop.method import Method
from ..loop.traces import Report, Run
from ..results.fit import Fit
from .em import check_limits
from .empty_clusters import refilled
from .known_labels import NOTHING_KNOWN, Known

__all__ = ["KMeans", "KMeansFit", "centres"]


_CENTRES = "Give centres as a tensor, or leave init out."
_CLUSTERS = Gaussian.template(structure=Spherical(tied=True))  # whatever the family that the rows are of


@dataclass(frozen=True)
class KMeans(Method):
    """K-means as hard expectation maximisation (Lloyd's algorithm, exact).

    Arguments:
        max_iterations: The largest number of updates, at least 1.
        tolerance: The gain of one update, in nats per row, below which it has converged; 0 runs all iterations.

    A cluster that loses all its rows takes the row farthest from its own centre.

    Example:
        >>> fit = mx.fit(mx.datasets.old_faithful(), components=2, method=mx.KMeans())
        >>> fit.mixture.order().components.mean[:, 1].round()
        tensor([80., 55.], dtype=torch.float64)
        >>> round(fit.inertia, 2)
        8901.77
    """

    max_iterations: int = 300
    tolerance: float = 1e-9
    known: Known = field(default=NOTHING_KNOWN, init=False, repr=False, compare=False)

    def __post_init__(self) -> None:
        check_limits(self.max_iterations, self.tolerance)

    @property
    def labels(self) -> Labels:
        return hard

    def informed(self, rows: Rows, start: Mixture) -> KMeans:
        """The same for one run: over rows in memory it remembers from pass to pass what spares it distances."""
        found = replace(self)
        object.__setattr__(found, "known", Known.of(rows))
        return found

    def start(self, family: Family, x: Tensor, r: Tensor) -> Mixture:
        components = family.clustered(_CLUSTERS).start(x, r)
        logits = x.new_full(components.batch_shape, -math.log(r.shape[-1]))
        return Mixture._of(logits, components)

    def at_means(self, means: Tensor) -> Mixture:
        start = centres(_vectors(means).unsqueeze(0), means.new_ones(()))
        return Mixture._of(start.logits, of_rows(start.components.gaussian, means.ndim > 1))

    def expect(self, state: Mixture, rows: Rows) -> Statistics:
        mean = state.components.gaussian_law.location
        total = rows.reduce(lambda block: _clusters_of(block, mean, self.known.at(block.start)), block_size(rows))
        if bool((total.weight > 0).all()):
            return total
        return replace(total, moments=(*total.moments, *refilled(total, rows, mean)))

    def update(self, statistics: Statistics, state: Mixture) -> Mixture:
        gaussian = state.components.gaussian_law
        weight, shift, scatter = statistics.moments[2:] or (statistics.weight, *statistics.moments)
        step = torch.where(weight.unsqueeze(-1) > 0, shift / weight.unsqueeze(-1), 0)
        mean = (gaussian.location + step).to(state.dtype)
        between = (step.square().sum(-1) * weight).sum(-1, keepdim=True)
        total = weight.sum(-1, keepdim=True) * gaussian.features
        scale = ((scatter - between).clamp_min(0) / total).sqrt().to(state.dtype)
        updated = gaussian._of(location=mean, structure=gaussian.structure._replace(factor=scale))
        return Mixture._of(state.logits, state.components.with_gaussian(updated))

    def objective(self, statistics: Statistics, state: Mixture) -> Tensor:
        total = statistics.weight.sum(-1)
        values = total * math.prod(state.event_shape)
        # A perfect fit has no finite likelihood; its objective is the largest that rounding can tell from it.
        spread = (statistics.moments[1].squeeze(-1) / values).clamp_min(torch.finfo(torch.float64).tiny)
        return -0.5 * values * (1 + (2 * math.pi * spread).log()) - total * math.log(state.logits.shape[-1])

    def converged(self, one: Run, rounding: float) -> bool:
        """Judges by the last gain alone: gains of K-means come in jumps, and are zero once no row moves."""
        return (
            self.tolerance > 0 and len(one.trace) > 1 and one.trace[-1] - one.trace[-2] <= max(self.tolerance, rounding)
        )

    def begin(self, start: Mixture, rows: Rows) -> Mixture:
        """Begins at the centres, whatever the law of the components about them."""
        inside = start.components.has_gaussian and not start.components.gaussian_image
        mean = start.components.gaussian.location if inside else _by_feature(start.components)
        found = centres(mean, mean.new_ones(()))
        return Mixture._of(found.logits, of_rows(found.components.gaussian, len(start.event_shape) > 0))

    def leap(self, rows: Rows, start: Mixture, floor: Tensor, report: Report | None) -> list[Run] | None:
        if not plain_table(rows):
            return None
        start = self.begin(start, rows)
        gaussian = start.components.gaussian_law
        limits = Limits(self.max_iterations, self.tolerance, False)
        found = clusters(rows.tensor().reshape(len(rows), -1), rows.weight, gaussian.location, limits)
        mean = torch.from_numpy(found.mean).to(start.dtype)
        scale = torch.from_numpy(found.spread).sqrt().unsqueeze(-1).to(start.dtype)
        moved = gaussian._of(location=mean, structure=gaussian.structure._replace(factor=scale))
        state, ends = Mixture._of(start.logits, start.components.with_gaussian(moved)), found.outcome
        each = zip(ends.traces, ends.ends, ends.notes, strict=True)
        return [noted(self, state, entry, *one) for entry, one in enumerate(each)]

    def collapsed(self, state: Mixture, floor: Tensor) -> Tensor:
        """A cluster may be a point; only a centre that is not finite has collapsed."""
        return ~state.components.gaussian_law.location.isfinite().all(-1)

    def mixture(self, state: Mixture) -> Mixture:
        """Returns clusters no narrower than what rounding tells of their centres: a perfect fit would be points."""
        gaussian = state.components.gaussian_law
        finfo = torch.finfo(state.dtype)
        least = (finfo.eps * gaussian.location.abs().amax((-2, -1))).clamp_min(finfo.tiny**0.5).unsqueeze(-1)
        factor = torch.maximum(gaussian.structure.given, least)
        wide = gaussian._of(location=gaussian.location, structure=gaussian.structure._replace(factor=factor))
        return Mixture._of(state.logits, state.components.with_gaussian(wide))

    def result(self, runs: list[Run], rows: Rows, family: Family) -> KMeansFit:
        account = self.account(runs, rows, _CLUSTERS.bind(rows, None))
        return KMeansFit(self.mixture(runs[0].state), **{**account, "method": self})


@dataclass(frozen=True, eq=False, repr=False)
class KMeansFit(Fit):
    """What K-means returns: equal weights, one shared variance, and the sum of squares it brought down."""

    @property
    def inertias(self) -> Tensor:
        """The sum of squared distances to the nearest centre before each update and at the end."""
        values = self.rows.total_weight * self.rows.features
        per_row = -2 * (self.trace + math.log(self.mixture.logits.shape[-1])) / self.rows.features
        return values / (2 * math.pi) * (per_row - 1).exp()

    @property
    def inertia(self) -> float:
        """The sum of squared distances to the nearest centre at the end."""
        return self.inertias[-1].item()


def centres(mean: Tensor, variance: Tensor) -> Mixture:
    """Returns the mixture that K-means learns: these means ``(*B, K, D)``, equal weights, one shared variance."""
    factor = variance.sqrt().expand(*mean.shape[:-2], 1).to(mean)
    components = Gaussian._of(location=mean, structure=Spherical._of(factor=factor, tied=True))
    return Mixture._of(mean.new_full(mean.shape[:-1], -math.log(mean.shape[-2])), components)


def _by_feature(components: Component) -> Tensor:
    """The means of components, with shape ``(*B, K, D)``; an error where one has none, as heavy tails may."""
    mean = components.mean.reshape(*components.batch_shape, components.event_shape.numel())
    if not bool(mean.isfinite().all()):
        refuse("init", "components whose means are finite, for clusters to begin there", mean.tolist(), _CENTRES)
    return mean


def _vectors(x: Tensor) -> Tensor:
    return x.unsqueeze(-1) if x.ndim == 1 else x


def _clusters_of(block: Block, mean: Tensor, labels: Labels) -> Statistics:
    """The sums of a block; rows whose label is known go to that cluster, however far."""
    return reduce(add, (_sums(group, mean, component, labels) for group, component in block.groups()))


def _sums(block: Block, mean: Tensor, component: int | None, labels: Labels) -> Statistics:
    if component is None:
        return _clusters(block.vectors, block.weight, mean, labels)
    return _given(block.vectors, block.weight, mean, component)


def _given(x: Tensor, weight: Tensor | None, mean: Tensor, label: int) -> Statistics:
    found = sums(Plan.nearest(mean[:, [label]]), x, weight)
    at = torch.nn.functional.one_hot(torch.tensor(label, device=x.device), mean.shape[1]).double()
    moments = found.shift * at.unsqueeze(-1), found.scatter
    return Statistics(torch.zeros_like(found.log_likelihood), found.weight * at, moments)


def _clusters(x: Tensor, weight: Tensor | None, mean: Tensor, labels: Labels) -> Statistics:
    found = sums(Plan.nearest(mean, labels), x, weight)
    return Statistics(torch.zeros_like(found.log_likelihood), found.weight, (found.shift, found.scatter))
