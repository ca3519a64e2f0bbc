r"""Conjugate priors: what MAP, variational Bayes and Gibbs ask of a prior on a family's parameters.

A conjugate prior is pseudo-observations, so its posterior given any sums of (fractional) statistics has the same form.
One object, the posterior, answers every learner; a prior is the posterior given no rows. With :math:`\theta_k` the
parameters of component k and q the posterior,

- MAP: `ConjugatePosterior.mode`, the argument of the maximum of :math:`q(\theta)`;
- Gibbs: `ConjugatePosterior.draw`, :math:`\theta \sim q`;
- variational Bayes: `ConjugatePosterior.expected`, components :math:`\bar p_k` and numbers :math:`o_k` with

  .. math:: \mathbb E_q[\log p_k(x)] = \log \bar p_k(x) + o_k \quad\text{for every } x,

  and `ConjugatePosterior.divergence`, :math:`\sum_k KL(q(\theta_k) \| p(\theta_k))`;
- evidence of one component, from the identity :math:`\log p(X) = \log p(X|\theta) + \log p(\theta) - \log q(\theta)`,
  true at every :math:`\theta`.

Shapes: everything of a posterior has the batch shape ``(*B, K)`` of the components whose statistics made it. It works
in float64 on the device of the statistics; components that it returns have the dtype of the template.
"""

from __future__ import annotations

from abc import ABC, abstractmethod

import torch
from torch import Generator, Tensor

from .._value import Value
from ..components.base import Component
from ..components.statistics import Statistics
from ..errors import NotClosedForm
from .components import ComponentsPrior

__all__ = ["ConjugatePosterior", "ConjugatePrior"]


class ConjugatePrior(ComponentsPrior):
    """A prior density on the parameters of one component, the same and independent for all components of a mixture."""

    @abstractmethod
    def posterior(self, statistics: Statistics, components: Component) -> ConjugatePosterior:
        """Returns the law of the parameters given sums over rows.

        Arguments:
            statistics: The sums, as ``components.expect`` returned them; responsibilities may be fractional.
            components: The components about which the sums were taken: the centre of their moments, and the template
                (structure, settings, dtype) of everything that the posterior returns.

        Raises:
            MixtureError: If the prior does not fit the family.
            NotClosedForm: If the family has no conjugate prior.
        """

    def log_prob(self, components: Component) -> Tensor:
        """Returns the log-density of the parameters, summed over components, in nats, with shape ``(*B,)``."""
        return self.alone(components).log_prob(components)

    def log_evidence(self, statistics: Statistics, components: Component) -> Tensor:
        """Returns the log-probability of all rows, parameters integrated out, for K = 1, with shape ``(*B,)``.

        Arguments:
            statistics: The sums over all rows under ``components``, whose log-likelihood they carry.
            components: One component per batch entry; where it lies does not matter.
        """
        posterior = self.posterior(statistics, components)
        return statistics.log_likelihood + self.log_prob(components) - posterior.log_prob(components)


class ConjugatePosterior(Value, ABC):
    """The joint law of all components' parameters given sums over rows, with batch shape ``(*B, K)``."""

    @abstractmethod
    def mode(self) -> Component:
        """Returns the most probable parameters: the MAP update."""

    @abstractmethod
    def draw(self, generator: Generator | None = None) -> Component:
        """Draws the parameters of all components: the Gibbs update."""

    @abstractmethod
    def expected(self) -> tuple[Component, Tensor]:
        r"""Returns components and offsets ``(*B, K)`` such that, for every row x,

        .. math:: \mathbb E[\log p_k(x)] = \texttt{components.log_prob(x)}_k + \texttt{offset}_k .

        So the E-step of variational Bayes is that of EM with the offset added to the logits.
        """

    @abstractmethod
    def log_prob(self, components: Component) -> Tensor:
        """Returns the log-density of parameters, summed over components, in nats, with shape ``(*B,)``."""

    def predictive(self) -> Component:
        """Returns the laws of a further row from each component, with the parameters integrated out.

        Raises:
            NotClosedForm: If they have no closed form; full Gaussians and numbers have.
        """
        raise NotClosedForm("Only full Gaussians and Normal components have a closed-form posterior predictive law.")

    @property
    def proper(self) -> Tensor:
        """Whether each component has a law at all: ``(*B, K)``, or one for all, which sums of rows always give.

        Sums that were extrapolated may not.
        """
        return torch.ones((), dtype=torch.bool)

    @abstractmethod
    def divergence(self, prior: ComponentsPrior) -> Tensor:
        """Returns the Kullback-Leibler divergence from the prior, summed over components, with shape ``(*B,)``."""

    @property
    @abstractmethod
    def mean(self) -> Component:
        """The components at the posterior mean of their moments (for Gaussians: mean and, where finite, covariance)."""
