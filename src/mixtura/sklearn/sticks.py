r"""scikit-learn's truncation of the Dirichlet process: the last stick is broken as well, and what it leaves is lost.

With :math:`v_k \sim \mathrm{Beta}(1, \alpha)` for all K components, :math:`\pi_k = v_k\prod_{l<k}(1 - v_l)` sum to less
than one. Mixtura's own `StickBreaking` gives the last component all that is left.
"""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Generator, Tensor

from ..errors import NotClosedForm
from ..priors import StickBreaking
from ..priors.weights import Sticks

__all__ = ["EveryStick", "EveryStickBreaking"]


@dataclass(frozen=True, eq=False, repr=False, init=False)
class EveryStickBreaking(StickBreaking):
    """The prior on weights: K breaks, and no order of the components is sought."""

    ordered = False

    def posterior(self, weight: Tensor) -> EveryStick:
        """Returns the breaks' laws given how many rows each component holds."""
        weight = weight.double()
        after = (weight.sum(-1, keepdim=True) - weight.cumsum(-1)).clamp_min(0)
        return EveryStick._of(broken=1 + weight, left=self.concentration + after)


@dataclass(frozen=True, eq=False, repr=False)
class EveryStick(Sticks):
    """Beta laws of K breaks, with their two counts ``(*B, K)`` each."""

    @property
    def mean(self) -> Tensor:
        """The expected weights, divided by their sum."""
        pieces = super().mean[..., :-1]
        return pieces / pieces.sum(-1, keepdim=True)

    @property
    def expected_log(self) -> Tensor:
        return super().expected_log[..., :-1]

    def draw(self, generator: Generator | None = None) -> Tensor:
        return torch.log_softmax(super().draw(generator)[..., :-1], -1)

    def log_prob(self, logits: Tensor) -> Tensor:
        """Refuses: what is left is lost, so the weights that are kept have no closed-form density."""
        raise NotClosedForm("Weights under scikit-learn's truncation have no closed-form density.")
