r"""Frozen parameters: what learning must not change.

Each update is made as usual and what is frozen is put back. With means frozen, second moments are those about the
frozen means: the sums are taken about the current means, so the first ones are set to zero before the update, which
makes it the maximum over what is free. Frozen weights, covariances and components do not enter the others' maximum.
"""

from __future__ import annotations

from dataclasses import dataclass, replace

import torch
from torch import Tensor

from ...components import Component, Gaussian, Normal, Statistics
from ...components.covariance.shared import VolumeShape
from ...components.gaussian_pairs import as_gaussian
from ...errors import refuse
from ...mixture import Mixture

__all__ = ["Freeze"]


@dataclass(frozen=True)
class Freeze:
    """What stays as it is in the start.

    Arguments:
        weights: Whether the weights do.
        means: Whether the means of Gaussians do.
        covariances: Whether the covariances of Gaussians do.
        components: The indices of components whose parameters, but not weights, do.

    Example:
        >>> start = mx.Mixture(torch.tensor([0.5, 0.5]), mx.Normal(torch.tensor([2.0, 4.5]), torch.ones(2)))
        >>> x = mx.datasets.old_faithful()[:, 0]
        >>> mx.fit(x, init=start, freeze=mx.Freeze(means=True)).mixture.components.loc
        tensor([2.0000, 4.5000], dtype=torch.float64)
    """

    weights: bool = False
    means: bool = False
    covariances: bool = False
    components: tuple[int, ...] = ()

    def check(self, start: Mixture) -> None:
        """Refuses what cannot be frozen in this mixture."""
        count, components = start.logits.shape[-1], start.components
        if not all(0 <= k < count for k in self.components):
            refuse("freeze", f"of components between 0 and {count - 1}", self.components)
        moments = self.means or self.covariances
        if moments and not isinstance(components, (Gaussian, Normal)):
            refuse(
                "freeze",
                "of weights or components for this family",
                f"means or covariances of {type(components).__name__}",
            )
        if self.components and not self.covariances and _sharing(components):
            refuse("freeze", "of all covariances where they share parts", self, "Set `covariances=True` as well.")

    def held(self, statistics: Statistics) -> Statistics:
        """Returns the sums from which the update of what is free follows."""
        if not self.means:
            return statistics
        shift, scatter = statistics.moments
        return replace(statistics, moments=(torch.zeros_like(shift), scatter))

    def kept(self, new: Mixture, old: Mixture) -> Mixture:
        """Returns the new mixture with what is frozen as in the old one."""
        components = self._moments(new.components, old.components)
        logits = old.logits if self.weights else new.logits
        if not self.components:
            return Mixture._of(logits, components)
        free = torch.ones_like(logits, dtype=torch.bool)
        free[..., list(self.components)] = False
        return Mixture._of(logits, _where(components, free, old.components))

    def parameters(self, mixture: Mixture) -> int:
        """Returns how many parameters are not free."""
        count, components = mixture.logits.shape[-1], mixture.components
        held = len(self.components) if not (self.means or self.covariances) else 0
        total = self.weights * (count - 1) + held * components.parameters // count
        if not (self.means or self.covariances):
            return total
        gaussian = as_gaussian(components)
        alone = len(self.components)
        means, matrices = count * gaussian.features, gaussian.structure.parameters(count, gaussian.features)
        total += means if self.means else alone * gaussian.features
        return total + (matrices if self.covariances else alone * matrices // count)

    def _moments(self, new: Component, old: Component) -> Component:
        if not (self.means or self.covariances):
            return new
        mine, theirs = as_gaussian(new), as_gaussian(old)
        location = theirs.location if self.means else mine.location
        kept = mine._of(location=location, structure=theirs.structure if self.covariances else mine.structure)
        return Normal.of(kept) if isinstance(new, Normal) else kept


def _tied(components: Component) -> bool:
    return isinstance(components, (Gaussian, Normal)) and as_gaussian(components).structure.tied


def _sharing(components: Component) -> bool:
    """Whether one component's covariance cannot be held while those of others are learned."""
    if not isinstance(components, (Gaussian, Normal)):
        return False
    structure = as_gaussian(components).structure
    return structure.tied or isinstance(structure, VolumeShape)


def _where(new: Component, free: Tensor, old: Component) -> Component:
    """Chooses component by component; a factor that all share is the same in both."""
    if not _tied(new):
        return new.where(free, old)
    gaussian = as_gaussian(new)
    location = torch.where(free.unsqueeze(-1), gaussian.location, as_gaussian(old).location)
    chosen = gaussian._replace(location=location)
    return Normal.of(chosen) if isinstance(new, Normal) else chosen
