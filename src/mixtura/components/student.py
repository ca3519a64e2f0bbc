r"""The Student-t family: Gaussians of random precision, whose heavy tails make means and covariances robust.

.. math:: x | u \sim N(\mu_k, \Sigma_k / u), \quad u \sim \mathrm{Gamma}(\tfrac{\nu_k}2, \tfrac{\nu_k}2), \qquad
    \log p_k(x) = a_k - \tfrac{\nu_k + D}{2}\log\!\big(1 + \tfrac{\delta}{\nu_k}\big),
    \quad \delta = |L_k^{-1}(x - \mu_k)|^2 .

EM takes u as missing: a row counts with :math:`u_{nk} = (\nu_k + D)/(\nu_k + \delta_{nk})`, so a remote one hardly
does. With :math:`U_k = \sum_n r_{nk} u_{nk}`, the update of centre and matrix is that of parameter-expanded EM (Liu,
Rubin and Wu, 1998), which divides the scatter by :math:`U_k` and not :math:`N_k`,

.. math:: \mu' = \mu + \tfrac{f_k}{U_k}, \qquad \Sigma' = \tfrac{1}{U_k}\big(S_k - \tfrac{f_k f_k^\top}{U_k}\big) ;

components of equal volume take one expansion for all, and a prior none (it divides by :math:`N_k`). Degrees of freedom
take one Newton step on :math:`\sum_n r_{nk}\log p_k(x_n)` itself, as in ECME (Liu and Rubin, 1994), because EM's own
step, the shape of a gamma law with :math:`\log\tfrac\nu2 - \psi(\tfrac\nu2) = \log\bar u - \overline{\log u}`, crawls
where they are many; it is taken where Newton's lowered the likelihood. Where the sum is not concave, they go uphill by
a factor of e.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Self

import torch
from torch import Generator, Tensor
from torch.distributions import constraints

from .. import kernels
from ..errors import refuse
from ..kernels import Tails
from ..kernels.laws import Law, Matching
from . import gaussian_inside as inside
from .argument import Argument
from .base import Component, Labels
from .climbing import Slopes
from .covariance.diagonal import Diagonal
from .covariance.structure import Structure
from .family import StructuredFamily
from .gaussian import Gaussian
from .gaussian_draws import flat_index
from .gaussian_inside import GaussianInside, starting_gaussian
from .gaussian_slopes import moment_slopes
from .route import Route
from .special.gamma_draws import gamma
from .special.gamma_shape import gamma_shape, log_gamma_ratio
from .special.student_cdf import student_below
from .statistics import Statistics

__all__ = ["StudentT"]

_LEAST, _MOST = 0.1, 1e4  # of learned degrees of freedom
_MANY = 100.0  # degrees of freedom from which on a Gaussian would do
_START = 10.0
_BENT = 1e-3  # the least that a row bends the likelihood in the logarithm of degrees of freedom


@dataclass(frozen=True, eq=False, repr=False, init=False)
class StudentT(GaussianInside):
    r"""K Student-t distributions on numbers or vectors.

    Arguments:
        loc: The centres :math:`\mu_k`, with shape ``(*B, K)`` for numbers and ``(*B, K, D)`` for vectors.
        scale: For numbers the scales :math:`\ell_k`, in the shape of ``loc``: the standard deviation of the Gaussian
            that heavy tails are added to. For vectors a structure with values for :math:`\Sigma_k = L_k L_k^\top`,
            such as ``mx.Full(matrix)``.
        dof: The degrees of freedom :math:`\nu_k > 0`, with shape ``(*B, K)``, or a number.

    The variance is :math:`\nu/(\nu - 2)` times :math:`\Sigma`, infinite for :math:`\nu \le 2`; there is no mean for
    :math:`\nu \le 1`. A fit takes ``family=mx.StudentT`` with the covariance structure of your choice;
    ``mx.StudentT.template(shared=True)`` learns one number of degrees of freedom for all components, and
    ``mx.StudentT.template(fixed=4.0)`` none.

    Raises:
        MixtureError: If a shape does not fit, or a scale or the degrees of freedom are not positive.

    Example:
        >>> heavy = mx.StudentT(torch.tensor([0.0, 5.0]), torch.tensor([1.0, 2.0]), 4.0)
        >>> heavy.log_prob(torch.tensor(0.0)).exp(), heavy.variance
        (tensor([0.3750, 0.0178]), tensor([2., 8.]))
    """

    matching = Matching(Law.TAILS, 0)
    dof: Tensor
    shared: bool = False
    fixed: float | None = None

    def __init__(self, loc: Tensor, scale: Tensor | Structure, dof: Tensor | float) -> None:
        self._set_inner(loc, scale)
        dof = torch.as_tensor(dof, dtype=self.inner.dtype, device=self.inner.device)
        _check(dof)
        object.__setattr__(self, "dof", dof.expand(self.batch_shape))

    def verify(self) -> None:
        super().verify()
        _check(self.dof)

    # -- what it is

    @property
    def parameters(self) -> int:
        return self.gaussian.parameters + self._learned(self.batch_shape[-1])

    def _learned(self, components: int) -> int:
        """How many degrees of freedom of so many components are learned."""
        return 0 if self.fixed is not None else min(components, 1) if self.shared else components

    @property
    def mean(self) -> Tensor:
        return self.loc.where(self._wide(self.dof) > 1, torch.nan)

    @property
    def variance(self) -> Tensor:
        return self._event(self.gaussian.variance) * self._wide(self._inflation())

    @property
    def covariance(self) -> Tensor:
        return self.gaussian.covariance * self._inflation()[..., None, None] if self.vectors else self.variance

    @property
    def remark(self) -> str:
        many = (self.dof > _MANY).reshape(-1, self.batch_shape[-1]).any(0).nonzero().squeeze(-1).tolist()
        if not many or self.fixed is not None:
            return ""
        which = ", ".join(map(str, many))
        return f"The degrees of freedom of component {which} exceed {_MANY:g}: a Gaussian would do as well there."

    # -- density and draws

    def log_prob(self, x: Tensor) -> Tensor:
        distance = self._distance(self._vector(x))
        return self._constants() - 0.5 * (self.dof + self.features) * torch.log1p(distance / self.dof)

    def _distance(self, x: Tensor) -> Tensor:
        """Squared distances :math:`\\delta` of rows ``(*S, *B, D)``, with shape ``(*S, *B, K)``."""
        gaussian = self.gaussian
        if gaussian.route(x, self.dof) is Route.PASS:
            return gaussian.joint_pass(torch.zeros_like(self.dof), x).mul_(-2)
        return gaussian.structure.distance(x.unsqueeze(-2) - gaussian.location)

    def _constants(self) -> Tensor:
        d = self.features
        gammas = log_gamma_ratio(0.5 * self.dof, 0.5 * d)
        scale = 0.5 * d * (self.dof * math.pi).log() + self.gaussian.structure.half_logdet(d)
        return gammas - scale

    def cdf(self, x: Tensor) -> Tensor:
        return student_below(self.gaussian._standard(self._vector(x)), self.dof)

    def survival(self, x: Tensor) -> Tensor:
        return student_below(-self.gaussian._standard(self._vector(x)), self.dof)

    def draw(self, labels: Tensor, generator: Generator | None = None) -> Tensor:
        noise = torch.randn(*labels.shape, self.features, dtype=self.dtype, device=self.device, generator=generator)
        half = 0.5 * self.dof.reshape(-1)[flat_index(labels, self.batch_shape)]
        narrow = (gamma(half, generator) / half).sqrt()
        index = flat_index(labels, self.batch_shape)
        centre = self.gaussian.location.reshape(-1, self.features)[index]
        return self._event(centre + (self.gaussian.color(labels, noise) - centre) / narrow.unsqueeze(-1))

    # -- learning

    def expect(self, logits: Tensor, x: Tensor, weight: Tensor | None, labels: Labels) -> Statistics:
        batch, tails = self.batch_shape[:-1], Tails(self.dof.reshape(-1, self.batch_shape[-1]))
        plan = self.gaussian.plan(logits + self._constants(), labels, tails)
        *sums, extra = kernels.sums(plan, self._vector(x), weight)
        likelihood, mass, shift, scatter = (t.reshape((*batch, *t.shape[1:])) for t in sums)
        return Statistics(likelihood, mass, (*(t.reshape(mass.shape) for t in extra), shift, scatter))

    def statistics(self, x: Tensor, r: Tensor) -> tuple[Tensor, ...]:
        r"""Returns the sums of :math:`\log q`, of u, and of first and second moments weighted with u."""
        rows = self._vector(x)
        q = 1 + self._distance(self._vector(self._shared(x))).double() / self.dof.double()
        u = (self.dof.double() + self.features) / (self.dof.double() * q)
        pull = r * u
        return (r * q.log()).sum(0), (pull * u).sum(0), pull.sum(0), *self.gaussian.statistics(rows, pull.to(r.dtype))

    def sums_units(self, statistics: Statistics) -> tuple[Tensor, ...]:
        weight, scatter = statistics.weight, statistics.moments[-1]
        total = weight.mean(-1, keepdim=True)
        return total, total, total, *self.gaussian._units(weight, scatter)

    def restated(self, statistics: Statistics, old: Self) -> Statistics:
        logs, squares, pull, shift, scatter = statistics.moments
        about = self.gaussian._restated(pull, shift, scatter, old.gaussian)
        return Statistics(statistics.log_likelihood, statistics.weight, (logs, squares, pull, *about))

    @property
    def bold(self) -> bool:
        return self.fixed is None

    def slopes(self, statistics: Statistics, prior: Any = None) -> Slopes:
        weight, (logs, squares, pull, shift, scatter) = statistics.weight, statistics.moments
        inner = moment_slopes(self.inner, weight, shift, scatter, prior)
        if self.fixed is not None:
            return inner
        slope, bend = self._curve(weight, logs, squares, pull)
        held = torch.where(slope > 0, self.dof >= _MOST, self.dof <= _LEAST)  # at a bound no step leads further
        curves = slope.masked_fill(held, 0), (-bend).maximum(_BENT * weight)
        own = (_over_components(one)[:, :1] for one in curves) if self.shared else curves
        return Slopes(*(torch.cat(parts, 1) for parts in zip(own, inner, strict=True)))

    def stepped(self, step: Tensor) -> Self:
        own, inner = step.tensor_split([self._learned(self.batch_shape[-1])], 1)
        dof = self.dof if self.fixed is not None else (self.dof.double() * own.exp()).clamp(_LEAST, _MOST)
        return self._replace(inner=self.inner.stepped(inner), dof=dof.to(self.dtype))

    def update(self, statistics: Statistics, prior: Any = None) -> Self:
        return self._updated(statistics, prior, self._leap)

    def cautious(self, statistics: Statistics, prior: Any = None) -> Self:
        return self._updated(statistics, prior, self._step)

    def _updated(self, statistics: Statistics, prior: Any, new_dof: Callable[..., Tensor]) -> Self:
        weight, (logs, squares, pull, shift, scatter) = statistics.weight, statistics.moments
        structure, dof = self.gaussian.structure.map(torch.Tensor.double), self.dof.double()
        mass, divisor, expansion = pull, structure.pool(weight), torch.ones_like(weight)
        if prior is None:
            expansion = structure.share_volume(dof * pull) / structure.share_volume(dof * weight)
            structure = structure.estimate(mass, shift, scatter, divisor).scaled(expansion.rsqrt())
        else:
            mass, shift, scatter, divisor = prior.add(self.gaussian, pull, shift, scatter)
            divisor = divisor - structure.pool(pull) + structure.pool(weight)
            structure = structure.estimate(mass, shift, scatter, divisor)
        mean = self.gaussian.location.double() + shift / mass.unsqueeze(-1)
        gaussian = Gaussian._of(location=mean, structure=structure).to(self.dtype)
        dof = self.dof if self.fixed is not None else new_dof(weight, logs, squares, pull, expansion)
        return self._replace(inner=gaussian, dof=dof.to(self.dtype))

    def _leap(self, weight: Tensor, logs: Tensor, squares: Tensor, pull: Tensor, expansion: Tensor) -> Tensor:
        """Degrees of freedom after a Newton step in their logarithm; a step uphill where that is not concave."""
        slopes = self._curve(weight, logs, squares, pull)
        slope, bend = map(_over_components, slopes) if self.shared else slopes
        step = torch.where(bend < 0, -slope / bend, slope.sign())
        return (self.dof.double() * step.clamp(-1, 1).exp()).clamp(_LEAST, _MOST)

    def _step(self, weight: Tensor, logs: Tensor, squares: Tensor, pull: Tensor, expansion: Tensor) -> Tensor:
        """Degrees of freedom after EM's own step, which together with that of centre and matrix lowers nothing."""
        gap = self._gap(weight, logs, pull, expansion)
        gap = _over_components(weight * gap) / _over_components(weight) if self.shared else gap
        return 2 * gamma_shape(gap, _LEAST / 2, _MOST / 2)

    def _gap(self, weight: Tensor, logs: Tensor, pull: Tensor, expansion: Tensor) -> Tensor:
        r"""Returns :math:`\log\bar u - \overline{\log u}` in units of the expansion."""
        half = 0.5 * (self.dof.double() + self.features)
        mean_log = torch.digamma(half) - (0.5 * self.dof.double()).log() - logs / weight
        return pull / weight / expansion - 1 + expansion.log() - mean_log

    def _curve(self, weight: Tensor, logs: Tensor, squares: Tensor, pull: Tensor) -> tuple[Tensor, Tensor]:
        r"""Returns the first two derivatives of :math:`\sum_n r_{nk} \log p_k(x_n)` in :math:`\log\nu_k`."""
        v, d = self.dof.double(), self.features
        half, own, ratio = 0.5 * (v + d), 0.5 * v, v / (v + d)
        inverse, inverse_square = ratio * pull, ratio.square() * squares  # sums of r/q and r/q^2
        far = weight - inverse
        first = 0.5 * (torch.digamma(half) - torch.digamma(own)) - d / (2 * v)
        second = 0.25 * (torch.polygamma(1, half) - torch.polygamma(1, own)) + d / (2 * v * v)
        slope = weight * first - 0.5 * logs + half / v * far
        bend = weight * second + (0.5 * v * far - 0.5 * d * far - half * (inverse - inverse_square)) / v.square()
        return v * slope, v.square() * bend + v * slope

    # -- holding parameters

    def holding_means(self, statistics: Statistics) -> Statistics:
        logs, squares, pull, shift, scatter = statistics.moments
        moments = logs, squares, pull, torch.zeros_like(shift), scatter
        return Statistics(statistics.log_likelihood, statistics.weight, moments)

    def with_frozen(self, old: Self, free: Tensor) -> Self:
        """Degrees of freedom shared with a frozen component are frozen."""
        free_dof = free.all(-1, keepdim=True) if self.shared else free
        return super().with_frozen(old, free)._replace(dof=torch.where(free_dof, self.dof, old.dof))

    def held_parameters(self, frozen: Sequence[int], means: bool, covariances: bool) -> int:
        return super().held_parameters(frozen, means, covariances) + self._learned(len(frozen))

    def collapsed(self, floor: Tensor) -> Tensor:
        return self.gaussian.collapsed(floor if self.vectors else floor.unsqueeze(-1)) | ~self.dof.isfinite()

    # -- algebra

    def marginal(self, dims: Sequence[int]) -> Self:
        return self.with_gaussian(self.gaussian.marginal(dims))

    def condition(self, dims: Sequence[int], values: Tensor) -> tuple[Component, Tensor]:
        given = self.marginal(dims)
        gaussian, _ = self.gaussian.condition(dims, values)
        distance = given._distance(values)
        stretch = ((self.dof + distance) / (self.dof + len(dims))).sqrt()
        structure = gaussian.structure
        structure = structure.untied(self.batch_shape[-1]) if structure.tied else structure
        conditioned = gaussian._replace(structure=structure.scaled(stretch))
        dof = (self.dof + len(dims)).expand(stretch.shape)
        return self._replace(inner=conditioned, dof=dof, shared=False), given.log_prob(values)

    def affine(self, matrix: Tensor, offset: Tensor | None) -> Component:
        return self._image(matrix, offset)

    # -- inside

    def _inflation(self) -> Tensor:
        """The covariance over the matrix: infinite, or none at all, where tails are too heavy."""
        ratio = self.dof / (self.dof - 2)
        return ratio.where(self.dof > 2, torch.where(self.dof > 1, torch.inf, torch.nan))

    def _wide(self, numbers: Tensor) -> Tensor:
        return numbers.unsqueeze(-1) if self.vectors else numbers


@dataclass(frozen=True, eq=False, repr=False)
class StudentTFamily(StructuredFamily, of=[StudentT]):
    """Student-t components.

    Arguments:
        structure: That of the matrices, `Diagonal` if none is given.
        shared: Whether all components have the same degrees of freedom.
        fixed: Their number, where it is not learned.
    """

    shared: bool = False
    fixed: float | None = None

    def arguments(self, features: int | None) -> dict[str, Argument]:
        found = inside.arguments(self.structure or Diagonal(), features)
        return found if self.fixed is not None else found | {"dof": Argument(constraints.positive, (), self.shared)}

    def made(self, values: Mapping[str, Tensor], features: int | None) -> StudentT:
        inner = inside.made(self.structure or Diagonal(), values, features)
        dof = inner.location.new_tensor(self.fixed) if self.fixed is not None else values["dof"]
        settings = {"shared": self.shared, "fixed": self.fixed, "dof": dof.expand(inner.batch_shape)}
        return StudentT._of(inner=inner, vectors=features is not None, **settings)

    def read(self, components: Any) -> dict[str, Tensor]:
        found = {"loc": components.loc, **inside.read(components)}
        dof = components.dof[..., :1] if self.shared else components.dof
        return found if self.fixed is not None else found | {"dof": dof}

    def start(self, x: Tensor, r: Tensor) -> StudentT:
        inner = starting_gaussian(self.structure or Diagonal(), x, r)
        dof = torch.full_like(inner.location[..., 0], _START if self.fixed is None else self.fixed)
        return StudentT._of(inner=inner, vectors=x.ndim > 1, dof=dof, shared=self.shared, fixed=self.fixed)


def _over_components(values: Tensor) -> Tensor:
    return values.sum(-1, keepdim=True).expand(values.shape)


def _check(dof: Tensor) -> None:
    if not bool((dof > 0).all()):
        refuse("dof", "positive degrees of freedom", dof.detach().min().item())
