r"""Frozen parameters: what learning must not change.

Each update is made as usual and what is frozen is put back. With means frozen, second moments are those about the
frozen means: the sums are taken about the current means, so the first ones are set to zero before the update, which
makes it the maximum over what is free. Frozen weights, covariances and components do not enter the others' maximum.
"""

from __future__ import annotations

from dataclasses import dataclass

import torch

from ...components import Component, Statistics
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
        if self._moments and not components.holds_moments:
            refuse(
                "freeze",
                "of weights or components for this family",
                f"means or covariances of {type(components).__name__}",
            )
        if self.components and not self.covariances and components.shares:
            refuse("freeze", "of all covariances where they share parts", self, "Set `covariances=True` as well.")

    def held(self, statistics: Statistics, components: Component) -> Statistics:
        """Returns the sums from which the update of what is free follows."""
        return components.holding_means(statistics) if self.means else statistics

    def kept(self, new: Mixture, old: Mixture) -> Mixture:
        """Returns the new mixture with what is frozen as in the old one."""
        logits, components = old.logits if self.weights else new.logits, new.components
        if self._moments:
            components = components.with_moments_of(old.components, self.means, self.covariances)
        if self.components:
            free = torch.ones_like(logits, dtype=torch.bool)
            free[..., list(self.components)] = False
            components = components.with_frozen(old.components, free)
        return Mixture._of(logits, components.with_weights_of(old.components) if self.weights else components)

    def parameters(self, mixture: Mixture) -> int:
        """Returns how many parameters are not free."""
        count = mixture.logits.shape[-1]
        held = mixture.components.held_parameters(self.components, self.means, self.covariances)
        return self.weights * (count - 1 + mixture.components.weight_parameters) + held

    @property
    def _moments(self) -> bool:
        return self.means or self.covariances
