"""A prior on a whole mixture: one on the weights and one on each component."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import torch
from torch import Generator, Tensor

from ..components import Component
from ..data import Summary, rows, summary
from ..errors import refuse
from ..priors.conjugate import ConjugatePrior
from ..priors.normal_inverse_wishart import NormalInverseWishart
from ..priors.ridge import Ridge
from ..priors.weights import WeightsPrior, weights_prior
from .value import Mixture

__all__ = ["Prior", "weak_components"]


@dataclass(frozen=True)
class Prior:
    r"""A conjugate prior on a mixture: Dirichlet on the weights, and one on each component.

    Arguments:
        concentration: The Dirichlet's :math:`\alpha > 0`, the same for each component, or a prior on weights such as
            `StickBreaking`; 1 is flat, and MAP estimates need at least 1.
        components: The components' prior, such as `NormalInverseWishart`; a `Ridge`; or none.

    Raises:
        MixtureError: If the concentration is not positive.

    Example:
        >>> mx.EM(prior=mx.Prior(concentration=2.0)).prior.concentration
        2.0
    """

    concentration: float | WeightsPrior = 1.0
    components: ConjugatePrior | Ridge | None = None

    def __post_init__(self) -> None:
        weights_prior(self.concentration)

    @property
    def weights(self) -> WeightsPrior:
        """The prior on the weights."""
        return weights_prior(self.concentration)

    @property
    def extra(self) -> float:
        """The pseudo-rows that MAP estimates add to each component: the concentration less one.

        Raises:
            MixtureError: If the weights have no most probable value.
        """
        if isinstance(self.concentration, WeightsPrior) or not self.concentration >= 1:
            refuse("concentration", "a number of at least 1 (else a MAP estimate does not exist)", self.concentration)
        return self.concentration - 1

    @classmethod
    def weak(cls, x: Any, components: int) -> Prior:
        r"""Builds the weakly informative prior of Fraley and Raftery (2007) from the data.

        The mean is the data's, :math:`\kappa = 0.01`, :math:`\nu = D + 2`, and the scale matrix holds the data's
        variances divided by :math:`K^{2/D}`. It keeps components from collapsing and hardly moves the others.

        Example:
            >>> mx.Prior.weak(mx.datasets.old_faithful(), 3).components.degrees
            4.0
        """
        return cls(1.0, weak_components(summary(rows(x)), components))

    def sample(self, components: Component, generator: Generator | None = None) -> Mixture:
        """Draws a whole mixture: weights and components.

        Arguments:
            components: A template: its family, settings, batch shape ``(*B, K)`` and type are those of the draw.
            generator: The source of randomness.

        Raises:
            MixtureError: If the prior says nothing of the components.

        Example:
            >>> prior = mx.Prior(1.0, mx.NormalInverseWishart(torch.zeros(2), 0.1, torch.eye(2), 4.0))
            >>> prior.sample(mx.Gaussian(torch.zeros(3, 2), mx.Full(torch.eye(2).expand(3, 2, 2)))).mean.shape
            torch.Size([2])
        """
        if not isinstance(self.components, ConjugatePrior):
            refuse("components", "a conjugate prior, to be drawn from", self.components)
        count = torch.zeros(components.batch_shape, dtype=torch.float64, device=components.device)
        logits = self.weights.posterior(count).draw(generator)
        return Mixture._of(logits.to(components.dtype), self.components.sample(components, generator))

    def log_prob(self, mixture: Mixture) -> Tensor:
        """Returns the log-density of the mixture's parameters up to a constant, in nats, with shape ``(*B)``."""
        flat = self.extra == 0  # a weight of zero is then as good as any
        weights = torch.zeros_like(mixture.logits[..., 0]) if flat else self.extra * mixture.logits.sum(-1)
        if self.components is None:
            return weights.double()
        return weights.double() + self.components.log_prob(mixture.components)


def weak_components(found: Summary, components: int) -> NormalInverseWishart:
    """Returns the weakly informative prior of Gaussians for data with this summary; see `Prior.weak`."""
    mean, variance = found.mean.reshape(-1), found.variance.reshape(-1)
    features = len(mean)
    scale = torch.diag(variance) / components ** (2 / features)
    return NormalInverseWishart(mean, 0.01, scale, features + 2.0)
