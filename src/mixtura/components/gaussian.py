r"""The Gaussian family, :math:`N(\mu_k, \Sigma_k)` with any covariance structure.

With :math:`z = L_k^{-1}(x - \mu_k)`,

.. math:: \log N(x; \mu_k, \Sigma_k) = -\tfrac12 |z|^2 - \log|L_k| - \tfrac D2 \log 2\pi .

Conditioning on coordinates b, with :math:`G = \Sigma_{ab}\Sigma_{bb}^{-1}`,

.. math:: x_a | x_b \sim N(\mu_a + G(x_b - \mu_b),\; \Sigma_{aa} - G \Sigma_{ba}),

and a product of two densities is a Gaussian of precision :math:`\Sigma_1^{-1} + \Sigma_2^{-1}` times the number
:math:`N(\mu_1; \mu_2, \Sigma_1 + \Sigma_2)`.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, Self

import torch
from torch import Generator, Tensor

from .. import kernels
from ..errors import refuse
from . import gaussian_density as density
from . import own_rows
from .base import Component, Labels
from .climbing import Slopes
from .covariance.full import Full
from .covariance.patterns import apply
from .covariance.structure import Structure
from .gaussian_algebra import check, expanded, multiplied, noisy, sound
from .gaussian_draws import colored, flat_index
from .gaussian_lines import conditional_mean
from .gaussian_slopes import moment_slopes, stepped
from .route import Route
from .special.normal_cdf import phi
from .special.normal_draws import standard_normal
from .statistics import Statistics
from .transforms import transformed

__all__ = ["Gaussian"]

_HALF_LOG_TWO_PI = 0.5 * math.log(2 * math.pi)
_MANY = 2**13
_MANY_GRADIENTS = 2**16
_PULLS = 2**20  # numbers of the pulls of some components that are held at a time
_LOST = 16  # units in the last place of a variance, below which what other columns leave of it is rounding


@dataclass(frozen=True, eq=False, repr=False, init=False)
class Gaussian(Component):
    r"""K Gaussians on vectors, :math:`N(\mu_k, \Sigma_k)`.

    Arguments:
        mean: The means :math:`\mu_k`, with shape ``(*B, K, D)``.
        covariance: Covariance matrices ``(*B, K, D, D)``, or a structure with values such as
            ``mx.Diagonal(variance)`` or ``mx.Full(matrix, tied=True)``.
        validate_args: Whether to check that means are finite and matrices positive definite; shapes and types always
            are. Without it nothing waits for the device, and of other numbers nothing follows.

    Raises:
        MixtureError: If a shape does not fit, a value is not finite, or a matrix is not positive definite.

    Example:
        >>> two = mx.Gaussian(torch.tensor([[0.0, 0.0], [3.0, 0.0]]), mx.Spherical(torch.tensor([1.0, 4.0])))
        >>> two.log_prob(torch.zeros(2))
        tensor([-1.8379, -4.3492])
    """

    location: Tensor
    structure: Structure

    def __init__(self, mean: Tensor, covariance: Tensor | Structure, *, validate_args: bool = True) -> None:
        if not isinstance(covariance, Structure):
            covariance = Full(covariance, validate_args=validate_args)
        check(mean, covariance, validate_args)
        object.__setattr__(self, "location", mean)
        object.__setattr__(self, "structure", covariance)

    def verify(self) -> None:
        super().verify()
        check(self.location, self.structure, True)

    # -- what it is

    @property
    def gaussian(self) -> Gaussian:
        return self

    def with_gaussian(self, gaussian: Gaussian) -> Gaussian:
        return gaussian

    @property
    def sums_add(self) -> bool:
        return True

    @property
    def has_gaussian(self) -> bool:
        return True

    @property
    def gaussian_image(self) -> bool:
        return True

    @property
    def is_gaussian(self) -> bool:
        return True

    @property
    def log_volume(self) -> Tensor:
        return self.structure.log_volume(self.features)

    @property
    def batch_shape(self) -> torch.Size:
        return self.location.shape[:-1]

    @property
    def event_shape(self) -> torch.Size:
        return self.location.shape[-1:]

    @property
    def dtype(self) -> torch.dtype:
        return self.location.dtype

    @property
    def device(self) -> torch.device:
        return self.location.device

    @property
    def features(self) -> int:
        """The number of coordinates D."""
        return self.location.shape[-1]

    @property
    def parameters(self) -> int:
        components = self.batch_shape[-1]
        return components * self.features + self.structure.parameters(components, self.features)

    @property
    def mean(self) -> Tensor:
        return self.location

    @property
    def variance(self) -> Tensor:
        return self._distinct.variance(self.features).expand(self.location.shape)

    @property
    def covariance(self) -> Tensor:
        return self._distinct.dense(self.features).expand(*self.location.shape, self.features)

    # -- density and draws

    def log_prob(self, x: Tensor) -> Tensor:
        if self._many(x) and self.route(x) is Route.PASS:
            return self.joint_pass(self._constants(), x)
        return self._constants() - 0.5 * self._distinct.distance(x.unsqueeze(-2) - self.location)

    def mixture_log_prob(self, logits: Tensor, x: Tensor) -> Tensor:
        if own_rows.serves(self, x) and not transformed():
            return own_rows.log_density(self, logits, x)
        route = self.route(x, logits) if self._many(x) else Route.EXPRESSION
        rows = x.reshape(-1, self.features)
        if route is Route.PASS:
            return kernels.log_density(self.density_plan(logits), rows).reshape(x.shape[:-1])
        if route is Route.GRADIENTS and self._many(x, _MANY_GRADIENTS) and self.structure.has_factor_gradient:
            return density.log_density(self, logits, rows).reshape(x.shape[:-1])
        return super().mixture_log_prob(logits, x)

    def mixture_score(self, logits: Tensor, x: Tensor) -> Tensor:
        if self.route(x, logits) is Route.PASS:
            return self.score_pass(logits, x.reshape(-1, self.features)).reshape(x.shape)
        r = torch.softmax(logits + self.log_prob(x), -1)
        score, few = torch.zeros_like(x), max(1, _PULLS // x.numel()) if x.numel() else 1
        for some in torch.arange(self.batch_shape[-1]).split(few):  # few at a time: N x D, never N x K x D
            at = slice(int(some[0]), int(some[-1]) + 1)
            one = self.take(at)
            score = score + (r[..., at, None] * one._distinct.solve(one.location - x.unsqueeze(-2))).sum(-2)
        return score

    def draw(self, labels: Tensor, generator: Generator | None = None) -> Tensor:
        return self.color(labels, standard_normal((*labels.shape, self.features), self.location, generator))

    def color(self, labels: Tensor, noise: Tensor) -> Tensor:
        r"""Returns :math:`\mu_z + L_z\epsilon` for labels ``(*S, *B)`` and noise ``(*S, *B, D)``, without gradients."""
        structure = self._distinct.for_draws
        means, factors = flat_index(labels, self.batch_shape), flat_index(labels, structure.leading)
        return colored(self.location, structure, means, factors, noise)

    # -- learning

    def expect(self, logits: Tensor, x: Tensor, weight: Tensor | None, labels: Labels) -> Statistics:
        batch = self.batch_shape[:-1]
        sums = kernels.sums(self.plan(logits + self._constants(), labels), x, weight)
        moments = sums.shift.reshape(self.location.shape), sums.scatter.reshape(*batch, *sums.scatter.shape[1:])
        return Statistics(sums.log_likelihood.reshape(batch), sums.weight.reshape(*batch, -1), moments)

    def statistics(self, x: Tensor, r: Tensor) -> tuple[Tensor, Tensor]:
        """Returns the sums of :math:`x - \\mu_k` and of its second moment in the structure's own form."""
        residual = self._shared(x).unsqueeze(-2) - self.location
        weighted = (r.unsqueeze(-1) * residual).double()
        moment = torch.einsum("n...i,n...j->...ij", weighted, residual.double())
        return weighted.sum(0), self.structure.pooled(moment)

    def sums_units(self, statistics: Statistics) -> tuple[Tensor, Tensor]:
        return self._units(statistics.weight, statistics.moments[-1])

    def _units(self, weight: Tensor, scatter: Tensor) -> tuple[Tensor, Tensor]:
        """The scales of the rows about their means, by column, times their weight; and their squares."""
        squares = self.structure.dense_moment(scatter, self.features).diagonal(dim1=-2, dim2=-1).mean(-2, keepdim=True)
        return (weight.mean(-1)[..., None, None] * squares).sqrt(), self.structure.outer(squares.sqrt())

    def restated(self, statistics: Statistics, old: Self) -> Statistics:
        shift, scatter = statistics.moments
        moments = self._restated(statistics.weight, shift, scatter, old)
        return Statistics(statistics.log_likelihood, statistics.weight, moments)

    def _restated(self, weight: Tensor, shift: Tensor, scatter: Tensor, old: Self) -> tuple[Tensor, Tensor]:
        r"""With :math:`g = \mu_{old} - \mu`, adds :math:`N g` and :math:`f g^\top + g f^\top + N g g^\top`."""
        gap = old.location.double() - self.location.double()
        push = shift + 0.5 * weight.unsqueeze(-1) * gap
        cross = push.unsqueeze(-1) * gap.unsqueeze(-2)
        cross = cross + cross.mT
        return shift + weight.unsqueeze(-1) * gap, scatter + self.structure.pooled(cross)

    def update(self, statistics: Statistics, prior: Any = None) -> Self:
        weight, (shift, scatter) = statistics.weight, statistics.moments
        degrees = self.structure.pool(weight)
        if prior is not None:
            weight, shift, scatter, degrees = prior.add(self, weight, shift, scatter)
        structure = self.structure.map(torch.Tensor.double).estimate(weight, shift, scatter, degrees)
        mean = self.location + shift / weight.unsqueeze(-1)
        return self._of(location=mean.to(self.dtype), structure=structure.to(self.dtype))

    @property
    def climbs(self) -> bool:
        return self.structure.climbs

    def slopes(self, statistics: Statistics, prior: Any = None) -> Slopes:
        shift, scatter = statistics.moments
        return moment_slopes(self, statistics.weight, shift, scatter, prior)

    def stepped(self, step: Tensor) -> Self:
        location, structure = stepped(self, step)
        return self._of(location=location, structure=structure)

    @property
    def shares(self) -> bool:
        return self.structure.shares

    def untied(self) -> Self:
        structure = self.structure if self.structure.tied else self.structure.unconstrained
        return self._replace(structure=structure.untied(self.batch_shape[-1])) if self.shares else self

    def holding_means(self, statistics: Statistics) -> Statistics:
        """Returns second moments about the held means, and no pull away from them."""
        shift, scatter = statistics.moments
        return Statistics(statistics.log_likelihood, statistics.weight, (torch.zeros_like(shift), scatter))

    def with_moments_of(self, old: Self, means: bool, covariances: bool) -> Self:
        location = old.location if means else self.location
        return self._of(location=location, structure=old.structure if covariances else self.structure)

    def with_frozen(self, old: Self, free: Tensor) -> Self:
        location = torch.where(free.unsqueeze(-1), self.location, old.location)
        return self._of(location=location, structure=self.structure.with_frozen(old.structure, free))

    def held_parameters(self, frozen: Sequence[int], means: bool, covariances: bool) -> int:
        count, alone = self.batch_shape[-1], len(frozen)
        matrices = self.structure.parameters(count, self.features)
        located = (count if means else alone) * self.features
        return located + (matrices if covariances else alone * matrices // count)

    def collapsed(self, floor: Tensor) -> Tensor:
        own, whole = self.structure.scales(self.features).square(), self.variance
        lost = _LOST * torch.finfo(self.dtype).eps * whole
        sound = (own >= torch.maximum(floor, lost)) & whole.isfinite() & self.location.isfinite()
        return ~sound.all(-1)

    # -- algebra

    def marginal(self, dims: Sequence[int]) -> Gaussian:
        return self._placed(self.location[..., list(dims)], self._distinct.marginal(dims))

    def condition(self, dims: Sequence[int], values: Tensor) -> tuple[Gaussian, Tensor]:
        known, free = list(dims), [d for d in range(self.features) if d not in set(dims)]
        given = self.marginal(known)
        mean = self._distinct.predicted(self.location, known, free, values)
        return self._placed(mean, self._distinct.conditional(known, free)), given.log_prob(values)

    def conditional_mean(self, logits: Tensor, dims: Sequence[int], values: Tensor) -> Tensor:
        return conditional_mean(self, logits, dims, values)

    def affine(self, matrix: Tensor, offset: Tensor | None) -> Gaussian:
        matrix = matrix if matrix.ndim == 2 else matrix.unsqueeze(-3)  # of a stack, each serves all components
        mean = apply(matrix, self.location)
        mean = mean if offset is None else mean + offset.unsqueeze(-2)
        structure = sound(self._distinct.image(matrix), mean.shape[-1], "matrix", "of full row rank")
        return self._placed(mean, structure)

    def convolve(self, covariance: Tensor | Structure) -> Gaussian:
        total = noisy(self._distinct, covariance)
        return self._placed(self.location, sound(total, self.features, "covariance", "positive semi-definite"))

    def product(self, other: Component) -> tuple[Gaussian, Tensor]:
        if not other.is_gaussian or not other.event_shape:
            refuse("other", "a mixture of Gaussians", type(other).__name__)
        mean, combined, log_mass = multiplied(self, other.gaussian)
        return self._of(location=mean, structure=combined), log_mass

    def _placed(self, mean: Tensor, structure: Structure) -> Gaussian:
        """The Gaussians of this mean and structure, each expanded to the batch of both."""
        batch = torch.broadcast_shapes(mean.shape[:-2], structure.leading[:-1])
        components = max(mean.shape[-2], structure.leading[-1])
        mean = mean.expand(*batch, components, mean.shape[-1])
        return self._of(location=mean, structure=expanded(structure, batch))

    def cdf(self, x: Tensor) -> Tensor:
        return phi(self._standard(x))

    def survival(self, x: Tensor) -> Tensor:
        return phi(-self._standard(x))

    def _standard(self, x: Tensor) -> Tensor:
        """Standard scores of vectors of one feature, ``(*S, *B, K)``."""
        if self.features != 1:
            raise self._no(f"cumulative probabilities in {self.features} dimensions")
        return self.structure.triangular.whiten(x.unsqueeze(-2) - self.location).squeeze(-1)

    def rosenblatt(self, x: Tensor) -> tuple[Tensor, Tensor]:
        # L is lower triangular, so z_d depends on x_1..x_d only, and x_d given those has scale L_dd.
        structure = self._distinct.triangular
        z, scales = structure.whiten(x.unsqueeze(-2) - self.location), structure.scales(self.features)
        return z, -0.5 * z.square() - scales.log() - _HALF_LOG_TWO_PI

    @property
    def has_rosenblatt(self) -> bool:
        return True

    # -- inside

    @property
    def _distinct(self) -> Structure:
        """The structure without what a batch only repeats."""
        return self.structure.distinct

    def _constants(self) -> Tensor:
        return (-self._distinct.half_logdet(self.features) - self.features * _HALF_LOG_TWO_PI).expand(self.batch_shape)

    def plan(self, constants: Tensor, labels: Labels, extra: kernels.Extra = kernels.NOTHING) -> kernels.Plan:
        """What a pass is to sum for log joints whose constants are ``(*B, K)``; the batch becomes restarts."""
        mean = self.location.reshape(-1, *self.location.shape[-2:])
        factor = self._flat(self.structure.inverse_factor())
        constants = constants.reshape(mean.shape[:-1])
        return kernels.Plan(self.structure.form, mean, factor, constants, labels, extra)

    def joint_pass(self, constants: Tensor, x: Tensor) -> Tensor:
        """Returns the log joints of rows of one mixture by a pass."""
        joint = kernels.log_joint(self._plan(constants), x.reshape(-1, self.features))
        return joint.reshape(*x.shape[:-1], -1)

    def score_pass(self, logits: Tensor, rows: Tensor) -> Tensor:
        """Returns the score of rows ``(N, D)`` under one mixture by a pass."""
        return kernels.score(self.density_plan(logits), rows).squeeze(1)

    def responsibilities_pass(self, logits: Tensor, rows: Tensor) -> Tensor:
        """Returns the responsibilities of rows ``(N, D)`` under one mixture by a pass."""
        return kernels.responsibilities(self.density_plan(logits), rows).squeeze(1)

    def density_plan(self, logits: Tensor) -> kernels.Plan:
        """What a pass is to do for densities of one mixture with ``logits``."""
        return self._plan(logits + self._constants())

    def _plan(self, constants: Tensor) -> kernels.Plan:
        """What a pass is to do for densities of one mixture."""
        form, factor = self.structure.for_densities()
        return kernels.Plan(form, self.location.unsqueeze(0), self._flat(factor), constants.unsqueeze(0))

    def _flat(self, factor: Tensor) -> Tensor:
        """Gives a factor one batch dimension, as the passes take it."""
        return factor.reshape(-1, *factor.shape[len(self.batch_shape) - 1 :])

    def with_factor(self, mean: Tensor, factor: Tensor) -> Self:
        """Returns the same structure with other numbers, unchecked."""
        return self._of(location=mean, structure=self.structure._replace(factor=factor))

    def route(self, x: Tensor, *others: Tensor) -> Route:
        """Which way densities go: passes serve the rows of one mixture, unless gradients or a transform look on."""
        several = len(self.batch_shape) == 1 and x.ndim > 1 and x.numel() > 0 and x.dtype == self.dtype
        if not several or transformed():
            return Route.EXPRESSION
        asked = torch.is_grad_enabled() and any(t.requires_grad for t in (x, *others, *self.tensors()))
        return Route.GRADIENTS if asked else Route.PASS

    def _many(self, x: Tensor, many: int = _MANY) -> bool:
        """Whether blocks are worth their making: for fewer numbers the plain expression is done sooner."""
        return x.numel() * self.batch_shape[-1] > many
