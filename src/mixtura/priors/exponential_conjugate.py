r"""The conjugate prior of an exponential family: rows of given mean statistics that were seen before the data.

.. math:: \log p(\eta | \nu, m) = \nu\,(\langle m, \eta\rangle - A(\eta)) - \log Z(\nu, \nu m),

a density in the natural parameters, of :math:`\nu` pseudo-rows whose mean statistics are m (Diaconis and Ylvisaker,
1979). With sums :math:`N_k` and :math:`S_k` it becomes :math:`\nu_k = \nu + N_k`, :math:`\tau_k = \nu m + S_k`. Its
mode and the posterior mean of the mean parameters are both :math:`\tau_k/\nu_k`; moments of :math:`\eta` are gradients,

.. math:: \mathbb E[\eta] = \partial_\tau \log Z, \qquad \mathbb E[A] = -\partial_\nu \log Z .
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import torch
from torch import Generator, Tensor

from ..components.base import Component
from ..components.exponential_family import ExponentialFamily, _column
from ..components.statistics import Statistics
from ..errors import refuse
from .components import ComponentsPrior
from .conjugate import ConjugatePosterior, ConjugatePrior

__all__ = ["Conjugate", "ExponentialPosterior"]


@dataclass(frozen=True, eq=False, repr=False, init=False)
class Conjugate(ConjugatePrior):
    r"""The conjugate prior of an exponential family, as pseudo-observations, the same for all components.

    Arguments:
        strength: The number :math:`\nu \ge 0` of pseudo-rows; 0 is maximum likelihood.
        mean_statistics: The mean of the family's sufficient statistics T over them, with shape ``(*event, *P)`` or
            broadcasting to it: the mean count for `Poisson`, the mean for `Bernoulli` and `Geometric`, the category
            shares for `Categorical`, the means of x and log x for `Gamma`.

    The density is taken in the natural parameters, so the MAP update is the mean over data and pseudo-rows together.
    These are the log-rate of `Poisson`, minus the rate of `Exponential`, the log-odds of `Bernoulli` and `Binomial`,
    the log-probability of a failure of `Geometric`, and the log-ratios to the last share of `Categorical` and
    `Multinomial`; the density of a usual parameter :math:`\theta` is this one times :math:`|d\eta/d\theta|`. It is
    normalised where the law has a closed form, else up to a constant.

    Named laws are special cases: :meth:`gamma`, :meth:`beta`, :meth:`dirichlet`.

    Raises:
        MixtureError: If the strength is negative, or the mean does not fit the family.

    Example:
        >>> prior = mx.Conjugate(4.0, 0.5)
        >>> method = mx.EM(prior=mx.Prior(components=prior))
        >>> fit = mx.fit(torch.tensor([0.0, 1.0, 1.0, 1.0]), 1, family=mx.Bernoulli, method=method)
        >>> fit.mixture.components.probs
        tensor([0.6250])
    """

    strength: float
    mean_statistics: Tensor

    def __init__(self, strength: float, mean_statistics: Tensor | float) -> None:
        if not strength >= 0:
            refuse("strength", "at least 0", strength)
        object.__setattr__(self, "strength", float(strength))
        object.__setattr__(self, "mean_statistics", torch.as_tensor(mean_statistics, dtype=torch.float64))

    @classmethod
    def gamma(cls, shape: float, rate: float) -> Conjugate:
        r"""Builds the prior under which a `Poisson` rate has a gamma law of that shape and rate.

        Example:
            >>> mx.Conjugate.gamma(3.0, 2.0).mean_statistics
            tensor(1.5000, dtype=torch.float64)
        """
        return cls(rate, shape / rate)

    @classmethod
    def beta(cls, a: float, b: float) -> Conjugate:
        """Builds the prior under which a `Bernoulli` probability has the law Beta(a, b).

        Example:
            >>> mx.Conjugate.beta(1.0, 3.0).mean_statistics
            tensor(0.2500, dtype=torch.float64)
        """
        return cls(a + b, a / (a + b))

    @classmethod
    def dirichlet(cls, concentration: Tensor) -> Conjugate:
        """Builds the prior under which `Categorical` probabilities have the Dirichlet law of that concentration.

        Example:
            >>> mx.Conjugate.dirichlet(torch.tensor([1.0, 1.0])).strength
            2.0
        """
        return cls(float(concentration.sum()), concentration / concentration.sum())

    def posterior(self, statistics: Statistics, components: Component) -> ExponentialPosterior:
        """Returns the law of the natural parameters given sums over rows."""
        if not components.has_natural:
            advice = "Gaussians take a mx.NormalInverseWishart."
            refuse("prior", "one for the family", f"a Conjugate for {type(components).__name__} components", advice)
        (sums,) = statistics.moments
        mean = self.mean_statistics.to(sums)
        if mean.ndim > sums.ndim - statistics.weight.ndim:
            refuse("mean_statistics", f"of shape {tuple(sums.shape[statistics.weight.ndim :])}", tuple(mean.shape))
        return ExponentialPosterior._of(
            template=components, strength=statistics.weight + self.strength, total=sums + self.strength * mean
        )


@dataclass(frozen=True, eq=False, repr=False)
class ExponentialPosterior(ConjugatePosterior):
    r"""The law of all components' natural parameters given sums over rows.

    Arguments:
        template: The components that name family, settings and dtype.
        strength: :math:`\nu_k`, with shape ``(*B, K)``.
        total: :math:`\tau_k`, with shape ``(*B, K, *event, *P)``.
    """

    template: ExponentialFamily
    strength: Tensor
    total: Tensor

    def mode(self) -> ExponentialFamily:
        return self.template.from_mean(self.total / _column(self.strength, self.total)).to(self.template.dtype)

    @property
    def mean(self) -> ExponentialFamily:
        """The components at the posterior mean of the mean parameters, which is the mode."""
        return self.mode()

    @property
    def proper(self) -> Tensor:
        return self.template.prior_exists(*self._parameters).reshape(*self.strength.shape, -1).all(-1)

    def draw(self, generator: Generator | None = None) -> ExponentialFamily:
        return self.template.prior_draw(*self._parameters, generator).to(self.template.dtype)

    def expected(self) -> tuple[ExponentialFamily, Tensor]:
        natural, normaliser = self._moments()
        offset = self._sum(self.template.log_normaliser(natural) - normaliser)
        return self.template.with_natural(natural).to(self.template.dtype), offset.to(self.template.dtype)

    def log_prob(self, components: Component) -> Tensor:
        """Returns the log-density in the natural parameters; up to a constant where the law has no closed form."""
        family = self._family(components)
        natural = family.natural.double()
        normaliser = self._sum(family.log_normaliser(natural))
        return (self._sum(self.total * natural) - self.strength * normaliser - self._log_normaliser()).sum(-1)

    def divergence(self, prior: ComponentsPrior) -> Tensor:
        other: Any = prior.alone(self.template)  # of the same form, because of the same family
        natural, normaliser = self._moments()
        inner = self._sum((self.total - other.total) * natural)
        inner = inner - (self.strength - other.strength) * self._sum(normaliser)
        return (inner + other._exact_log_normaliser() - self._exact_log_normaliser()).sum(-1)

    def _moments(self) -> tuple[Tensor, Tensor]:
        """Expected natural parameters and expected A, as gradients of log Z."""
        with torch.enable_grad():
            strength, total = (t.detach().requires_grad_() for t in self._parameters)
            value = self.template.prior_log_normaliser(strength, total)
            by_strength, by_total = torch.autograd.grad(value.sum(), (strength, total), materialize_grads=True)
        return by_total, -by_strength

    @property
    def _parameters(self) -> tuple[Tensor, Tensor]:
        """Strength with the shape of A, and total."""
        shape = self.template.log_normaliser(self.total).shape
        return _column(self.strength, torch.empty(shape)).expand(shape), self.total

    def _exact_log_normaliser(self) -> Tensor:
        return self._sum(self.template.prior_log_normaliser(*self._parameters))

    def _log_normaliser(self) -> Tensor:
        exact = self.template.has_conjugate_law
        return self._exact_log_normaliser() if exact else torch.zeros_like(self.strength)

    def _sum(self, values: Tensor) -> Tensor:
        batch = self.strength.ndim
        return values.flatten(batch).sum(-1) if values.ndim > batch else values

    def _family(self, components: Component) -> ExponentialFamily:
        if not isinstance(components, ExponentialFamily):
            refuse("components", f"{type(self.template).__name__} components", type(components).__name__)
        return components
