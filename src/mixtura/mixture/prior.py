"""A prior on a whole mixture: one on the weights and one on each component."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import Any

import torch
from torch import Generator, Tensor

from .._value import Value
from ..components import Component
from ..data import recorded_moments, rows
from ..errors import refuse
from ..priors.components import ComponentsPrior
from ..priors.normal_inverse_wishart import NormalInverseWishart
from ..priors.weights import WeightsPrior, weights_prior
from .value import Mixture

__all__ = ["Prior", "check_prior", "weak_components"]


@dataclass(frozen=True, eq=False, repr=False)
class Prior(Value):
    r"""A prior density of mixtures: one on the weights, and one on each component.

    .. math:: \log p(\pi, \theta) = \log p(\pi) + \sum_k \log p(\theta_k)

    Arguments:
        concentration: The Dirichlet's :math:`\alpha > 0`: one number for all components, or a tensor with one for each;
            or a prior on weights such as `StickBreaking`. 1 is flat, and MAP estimates need at least 1.
        components: The components' prior, such as `NormalInverseWishart`; a `Ridge`; or none.

    Raises:
        MixtureError: If a concentration is not positive.

    Example:
        >>> mx.EM(prior=mx.Prior(concentration=2.0)).prior.concentration
        2.0
        >>> mx.Prior(torch.tensor([1.0, 3.0])).log_prob(mx.Mixture(torch.tensor([0.5, 0.5]), mx.Poisson(torch.ones(2))))
        tensor(-0.2877, dtype=torch.float64)
    """

    concentration: float | Sequence[float] | Tensor | WeightsPrior = 1.0
    components: ComponentsPrior | None = None

    def __post_init__(self) -> None:
        self.weights  # noqa: B018 (refuses what is no concentration)

    @cached_property
    def weights(self) -> WeightsPrior:
        """The prior on the weights."""
        return weights_prior(self.concentration)

    @cached_property
    def has_mode(self) -> bool:
        """Whether MAP estimates exist: the weights' density is bounded, which that of components is, given rows."""
        return self.weights.has_mode

    @property
    def monotone(self) -> bool:
        """Whether no update under it lowers the log-likelihood plus `log_prob`, as a `Ridge` may."""
        return self.components is None or self.components.monotone

    @classmethod
    def weak(cls, x: Any, components: int) -> Prior:
        r"""Builds the weakly informative prior of Fraley and Raftery (2007) from the data.

        The mean is the data's, :math:`\kappa = 0.01`, :math:`\nu = D + 2`, and the scale matrix holds the data's
        variances divided by :math:`K^{2/D}`; gaps (NaN) are left out of both. It keeps components from collapsing and
        hardly moves the others.

        Example:
            >>> mx.Prior.weak(mx.datasets.old_faithful(), 3).components.degrees
            4.0
        """
        table = rows(x)
        mean, variance = recorded_moments(table)
        empty = mean.isnan().reshape(-1).nonzero().flatten().tolist()
        if empty:
            names = ", ".join(table.columns[d] if table.columns else str(d) for d in empty)
            refuse("x", "known somewhere in every column", f"nothing but gaps in column {names}", "Leave it out.")
        return cls(1.0, weak_components(mean, variance, components))

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
        if self.components is None:
            refuse("components", "a conjugate prior, to be drawn from", None)
        count = torch.zeros(components.batch_shape, dtype=torch.float64, device=components.device)
        logits = self.weights.posterior(count).draw(generator)
        return Mixture._of(logits.to(components.dtype), self.components.sample(components, generator))

    def log_prob(self, mixture: Mixture) -> Tensor:
        r"""Returns the log-density of the mixture's weights and components, in nats, with shape ``(*B,)``.

        Weights have a density with respect to :math:`d\pi_1 \cdots d\pi_{K-1}`; components as their prior says. No
        prior on components adds nothing, and noise beside a family has none.

        Example:
            >>> prior = mx.Prior(0.5, mx.Conjugate.gamma(3.0, 2.0))
            >>> prior.log_prob(mx.Mixture(torch.tensor([0.4, 0.6]), mx.Poisson(torch.tensor([1.0, 2.0])))).exp()
            tensor(0.2062, dtype=torch.float64)
        """
        weights = self.weights.log_prob(mixture.logits)
        return weights if self.components is None else weights + self.components.log_prob(mixture.components.core)


def check_prior(prior: Any) -> None:
    """Refuses what is neither a prior of whole mixtures nor none."""
    if prior is not None and not isinstance(prior, Prior):
        refuse("prior", "a mixtura.Prior", repr(prior), "That of components alone is mx.Prior(components=...).")


def weak_components(mean: Tensor, variance: Tensor, components: int) -> NormalInverseWishart:
    """Returns the weakly informative prior of Gaussians for data with this mean and variance; see `Prior.weak`."""
    mean, variance = mean.reshape(-1), variance.reshape(-1)
    features = len(mean)
    scale = torch.diag(variance) / components ** (2 / features)
    return NormalInverseWishart(mean, 0.01, scale, features + 2.0)
