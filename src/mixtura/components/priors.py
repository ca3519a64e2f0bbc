r"""Conjugate priors as pseudo-observations: a prior is a set of sums that is added to those of the data.

For Gaussians the prior is normal-inverse-Wishart (Gelman et al. 2013, section 3.6),

.. math:: \mu_k | \Sigma_k \sim N(m, \Sigma_k/\kappa), \qquad \Sigma_k \sim W^{-1}(\Psi, \nu),

whose log-density is :math:`-\tfrac12(\nu + D + 2)\log|\Sigma| - \tfrac12\mathrm{tr}\,\Sigma^{-1}(\Psi +
\kappa(\mu-m)(\mu-m)^\top)` up to a constant. So it acts as :math:`\kappa` rows at m, a scatter :math:`\Psi`, and a
divisor of :math:`\nu + D + 2`. For diagonal and spherical structures the same density is taken on the matrices of that
shape; a tied matrix carries the inverse-Wishart factor once and the normal factor once per component.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import TYPE_CHECKING

import torch
from torch import Tensor

from .._value import Value
from ..errors import refuse

if TYPE_CHECKING:
    from .gaussian import Gaussian

__all__ = ["NormalInverseWishart"]


@dataclass(frozen=True, eq=False, repr=False, init=False)
class NormalInverseWishart(Value):
    r"""The conjugate prior of a Gaussian's mean and covariance, shared by all components.

    Arguments:
        mean: The prior mean :math:`m`, with shape ``(D,)``.
        strength: The number :math:`\kappa \ge 0` of pseudo-observations behind the mean.
        scale: The scale matrix :math:`\Psi`, symmetric positive semi-definite, with shape ``(D, D)``: a sum of
            squares, not a variance.
        degrees: The degrees of freedom :math:`\nu > D - 1`.

    Raises:
        MixtureError: If a shape does not fit, or a number makes the prior improper.

    Example:
        >>> prior = mx.NormalInverseWishart(torch.zeros(2), 0.01, torch.eye(2), 4.0)
        >>> prior.degrees
        4.0
    """

    mean: Tensor
    strength: float
    scale: Tensor
    degrees: float

    def __init__(self, mean: Tensor, strength: float, scale: Tensor, degrees: float) -> None:
        features = mean.shape[-1]
        if mean.ndim != 1 or tuple(scale.shape) != (features, features):
            refuse("scale", f"a ({features}, {features}) matrix beside a mean (D,)", f"{tuple(scale.shape)}")
        if not strength >= 0:
            refuse("strength", "at least 0", strength)
        if not degrees > features - 1:
            refuse("degrees", f"more than D - 1 = {features - 1}", degrees, "Otherwise the prior is improper.")
        for name, value in (
            ("mean", mean),
            ("strength", float(strength)),
            ("scale", scale),
            ("degrees", float(degrees)),
        ):
            object.__setattr__(self, name, value)

    def add(self, components: Gaussian, weight: Tensor, shift: Tensor, scatter: Tensor) -> tuple[Tensor, ...]:
        """Adds the pseudo-sums to those of the data, taken about the components' current means.

        Returns:
            The weight, shift, scatter and divisor that the M-step of the covariance structure takes.
        """
        structure, features = components.structure, components.features
        gap = (self.mean - components.location).double()
        moment = structure.outer(gap) * self.strength
        moment = moment.sum(gap.ndim - 2, keepdim=True) if structure.tied else moment
        scatter = scatter + moment + structure.scatter(self.scale.double())
        wishart = self.degrees + features + 1
        degrees = structure.pool(weight + 1) + wishart
        return weight + self.strength, shift + self.strength * gap, scatter, degrees

    def log_prob(self, components: Gaussian) -> Tensor:
        """Returns the log-density of the components' parameters, summed over components, with shape ``(*B,)``.

        Where the structure is not `Full` this is the same density on the matrices of that shape: it is not
        renormalised, which shifts it by a constant.
        """
        structure, features = components.structure.map(torch.Tensor.double), components.features
        half_logdet = structure.half_logdet(features)
        gap = (components.location - self.mean).double()
        wishart = -(self.degrees + features + 1) * half_logdet - 0.5 * self._trace(components)
        normal = -half_logdet - 0.5 * self.strength * structure.whiten(gap).square().sum(-1)
        normal = normal + 0.5 * features * (math.log(self.strength or 1.0) - math.log(2 * math.pi))
        return (wishart + self._log_normaliser()).sum(-1) + normal.sum(-1)

    def _trace(self, components: Gaussian) -> Tensor:
        """The trace of the scale matrix times the inverse covariance, with shape ``(*B, K or 1)``."""
        solved = torch.linalg.inv(components.structure.dense(components.features).double())
        return (solved * self.scale.double()).sum((-2, -1))

    def _log_normaliser(self) -> Tensor:
        features, half = self.scale.shape[-1], 0.5 * self.degrees
        logdet = torch.logdet(self.scale.double())
        return (
            half * logdet
            - half * features * math.log(2)
            - torch.special.multigammaln(torch.tensor(half, dtype=torch.float64), features)
        )
