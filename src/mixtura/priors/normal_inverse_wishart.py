r"""The conjugate prior of Gaussians, as pseudo-observations: sums that are added to those of the data.

The prior is normal-inverse-Wishart (Gelman et al. 2013, section 3.6),

.. math:: \mu_k | \Sigma_k \sim N(m, \Sigma_k/\kappa), \qquad \Sigma_k \sim W^{-1}(\Psi, \nu),

whose log-density is :math:`-\tfrac12(\nu + D + 2)\log|\Sigma| - \tfrac12\mathrm{tr}\,\Sigma^{-1}(\Psi +
\kappa(\mu-m)(\mu-m)^\top)` up to a constant. So it acts as :math:`\kappa` rows at m, a scatter :math:`\Psi`, and a
divisor of :math:`\nu + D + 2`. For diagonal and spherical structures it is the same density, normalised on the matrices
of that shape (`inverse_wishart`); a tied matrix carries the inverse-Wishart factor once and the normal factor once per
component. With rows, with :math:`N_k`, :math:`\bar x_k` and scatter :math:`S_k` about m,

.. math:: \kappa_k = \kappa + N_k, \quad m_k = \frac{\kappa m + N_k \bar x_k}{\kappa_k}, \quad \nu_k = \nu + N_k, \quad
    \Psi_k = \Psi + S_k - \kappa_k (m_k - m)(m_k - m)^\top .
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Any, NoReturn

import torch
from torch import Generator, Tensor

from ..components.base import Component
from ..components.covariance.full import Full
from ..components.covariance.structure import Structure, column
from ..components.gaussian import Gaussian
from ..components.statistics import Statistics
from ..components.student import StudentT
from ..errors import refuse
from .components import ComponentsPrior
from .conjugate import ConjugatePosterior, ConjugatePrior
from .inverse_wishart import Law, law

__all__ = ["NormalInverseWishart", "NormalInverseWishartPosterior"]


@dataclass(frozen=True, eq=False, repr=False, init=False)
class NormalInverseWishart(ConjugatePrior):
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
        if not bool(mean.isfinite().all()):
            refuse("mean", "finite", "NaN or infinity")
        if mean.ndim != 1 or tuple(scale.shape) != (features, features):
            refuse("scale", f"a ({features}, {features}) matrix beside a mean (D,)", f"{tuple(scale.shape)}")
        if not _semi_definite(scale):
            refuse("scale", "symmetric positive semi-definite (a sum of squares)", "a matrix that is not")
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
        self._check(features)
        location = components.location.double()
        gap = self.mean.to(location) - location
        moment = structure.outer(gap) * self.strength
        moment = structure.pool(moment, structure.moment_trailing)
        scatter = scatter + moment + structure.scatter(self.scale.to(location))
        degrees = structure.pool(weight) + self._rows_of_mode(components)
        return weight + self.strength, shift + self.strength * gap, scatter, degrees

    def posterior(self, statistics: Statistics, components: Component) -> NormalInverseWishartPosterior:
        """Returns the normal-inverse-Wishart law of the parameters given sums over rows."""
        if not components.gaussian_image:
            _refuse_family(components)
        gaussian = components.gaussian
        structure = gaussian.structure
        strength, shift, scatter, degrees = self.add(gaussian, statistics.weight, *statistics.moments)
        step = shift / torch.where(strength > 0, strength, 1).unsqueeze(-1)
        between = structure.outer(step * strength.sqrt().unsqueeze(-1))
        between = structure.pool(between, structure.moment_trailing)
        return NormalInverseWishartPosterior._of(
            template=components,
            location=gaussian.location.double() + step,
            strength=strength,
            moment=(scatter - between).expand(*degrees.shape, *scatter.shape[degrees.ndim :]),
            degrees=degrees - self._rows_of_mode(gaussian) + self.degrees,
        )

    def alone(self, components: Component) -> NormalInverseWishartPosterior:
        """Returns the prior itself as a law: of a Student-t's centres and matrices, too."""
        if not components.has_gaussian:
            _refuse_family(components)
        gaussian = components.gaussian
        self._check(gaussian.features)
        zero = torch.zeros(gaussian.batch_shape, dtype=torch.float64, device=components.device)
        pooled, moment = gaussian.structure.pool(zero), gaussian.structure.scatter(self.scale.to(zero))
        return NormalInverseWishartPosterior._of(
            template=components,
            location=self.mean.to(zero).expand(gaussian.location.shape),
            strength=zero + self.strength,
            moment=moment.expand(*pooled.shape, *moment.shape),
            degrees=pooled + self.degrees,
        )

    def log_prob(self, components: Component) -> Tensor:
        """Returns the log-density of means and matrices; of a Student-t, those of its Gaussian part.

        Where components share volume, shape, orientation or factors it is the density of their matrices one by one, up
        to a constant within the structure.
        """
        if not components.has_gaussian:
            _refuse_family(components)
        gaussian = components.gaussian
        return super().log_prob(gaussian._replace(structure=gaussian.structure.unconstrained))

    def _rows_of_mode(self, components: Gaussian) -> float:
        """What the prior adds to the divisor of the scatter at the mode: a normal factor per component that shares."""
        sharing = components.batch_shape[-1] if components.structure.tied else 1
        return self.degrees + components.features + 1 + sharing

    def _check(self, features: int) -> None:
        if len(self.mean) != features:
            refuse("prior", f"on {features} features", f"a mean of shape {tuple(self.mean.shape)}")


def _semi_definite(matrix: Tensor) -> bool:
    matrix, rounding = matrix.detach().double(), 1e3 * torch.finfo(matrix.dtype).eps
    slack = rounding * matrix.abs().amax()
    if not bool(matrix.isfinite().all() & ((matrix - matrix.mT).abs() <= slack).all()):
        return False
    return bool(torch.linalg.eigvalsh(matrix)[0] >= -slack)


@dataclass(frozen=True, eq=False, repr=False)
class NormalInverseWishartPosterior(ConjugatePosterior):
    r"""The law of all components' means and covariances given sums over rows.

    Arguments:
        template: The components that name family, structure and dtype.
        location: :math:`m_k`, with shape ``(*B, K, D)``.
        strength: :math:`\kappa_k`, with shape ``(*B, K)``.
        moment: :math:`\Psi_k` in the structure's own form, leading with ``(*B, K or 1)``.
        degrees: :math:`\nu_k`, with shape ``(*B, K or 1)``.
    """

    template: Component
    location: Tensor
    strength: Tensor
    moment: Tensor
    degrees: Tensor

    def mode(self) -> Component:
        extra = self.features + 1 + (self.strength.shape[-1] if self.structure.tied else 1)
        moment = self.moment / column(self.degrees + extra, self.structure.moment_trailing)
        return self._components(self.location, self._with_moment(moment))

    @property
    def mean(self) -> Component:
        """The components at the posterior mean of mean and covariance; NaN where the latter has none."""
        moment = self.law.mean(self.moment, self.degrees, self.features)
        return self._components(self.location, self._with_moment(moment))

    def draw(self, generator: Generator | None = None) -> Component:
        factor = self.law.draw(self.moment, self.degrees, self.features, generator)
        structure = self.structure._replace(factor=factor)
        noise = torch.randn(self.location.shape, dtype=torch.float64, device=factor.device, generator=generator)
        return self._components(self.location + structure.color(noise) / self.strength.sqrt().unsqueeze(-1), structure)

    def expected(self) -> tuple[Component, Tensor]:
        deficit = self.law.deficit(self.degrees, self.features)
        components = self._components(self.location, self._precise())
        return components, (deficit - 0.5 * self.features / self.strength).to(components.dtype)

    def log_prob(self, components: Component) -> Tensor:
        gaussian = components.gaussian
        structure = gaussian.structure.map(torch.Tensor.double)
        half_logdet = structure.half_logdet(self.features)
        wishart = -(self.degrees + self.features + 1) * half_logdet - 0.5 * self.law.trace(structure, self.moment)
        wishart = wishart - self.law.log_normaliser(self.moment, self.degrees, self.features)
        z = structure.whiten(gaussian.location.double() - self.location).square().sum(-1)
        scale = (self.strength.where(self.strength > 0, 1) / (2 * math.pi)).log()  # no rows: a flat, improper factor
        normal = 0.5 * (self.features * scale - self.strength * z) - half_logdet
        return wishart.sum(-1) + normal.sum(-1)

    def predictive(self) -> Component:
        r"""Returns Student-t laws, where matrices may turn.

        They have :math:`\nu - D + 1` degrees of freedom, the centre :math:`m_k` and squared scales
        :math:`\Psi_k (\kappa_k + 1)/(\kappa_k(\nu_k - D + 1))` (Gelman et al., 2013, section 3.6).
        """
        if not (self.template.is_gaussian and self.law.rotates(self.features)):
            return super().predictive()
        degrees = (self.degrees - self.features + 1).expand(self.strength.shape)
        moment = self.moment.reshape(*self.degrees.shape, self.features, self.features)
        matrix = moment * ((1 + 1 / self.strength) / degrees)[..., None, None]
        if self.template.event_shape:
            return StudentT(self.location, Full(matrix), degrees).to(self.template.dtype)
        return StudentT(self.location.squeeze(-1), matrix[..., 0, 0].sqrt(), degrees).to(self.template.dtype)

    def divergence(self, prior: ComponentsPrior) -> Tensor:
        other: Any = prior.alone(self.template)  # of the same form, because of the same family
        features, structure = self.features, self._precise()
        gap = structure.whiten(self.location - other.location).square().sum(-1)
        ratio = other.strength / self.strength
        normal = 0.5 * (features * (ratio - 1 - ratio.log()) + other.strength * gap)
        half_logdet = structure.half_logdet(features) - self.law.deficit(self.degrees, features)
        wishart = (other.degrees - self.degrees) * half_logdet
        wishart = wishart + 0.5 * self.law.trace(structure, other.moment - self.moment)
        wishart = wishart + other._log_normaliser() - self._log_normaliser()
        return wishart.sum(-1) + normal.sum(-1)

    @property
    def structure(self) -> Structure:
        """The covariance structure, as a template in float64."""
        return self.template.gaussian.structure.map(torch.Tensor.double)

    @property
    def features(self) -> int:
        """The number of coordinates D."""
        return self.location.shape[-1]

    @property
    def law(self) -> Law:
        """The inverse-Wishart law of the structure."""
        return law(self.structure)

    def _precise(self) -> Structure:
        """The structure whose inverse is the expected precision."""
        return self._with_moment(self.law.precise(self.moment, self.degrees, self.features))

    def _with_moment(self, moment: Tensor) -> Structure:
        return self.structure.with_moment(moment, self.features)

    def _log_normaliser(self) -> Tensor:
        return self.law.log_normaliser(self.moment, self.degrees, self.features)

    def _components(self, location: Tensor, structure: Structure) -> Component:
        gaussian = Gaussian._of(location=location, structure=structure).to(self.template.dtype)
        return self.template.with_gaussian(gaussian)


def _refuse_family(components: Component) -> NoReturn:
    came = f"a NormalInverseWishart for {type(components).__name__} components"
    refuse("prior", "one for the family", came, _OTHERS)


_OTHERS = "Exponential families take a mx.Conjugate, linear regressions a mx.priors.NormalInverseGamma."
