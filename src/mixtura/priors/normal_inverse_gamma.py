r"""The conjugate prior of linear regressions: rows that were seen before the data.

Effects are normal in units of the residuals, whose variance is inverse gamma,

.. math:: \beta_k | s_k^2 \sim N(m, s_k^2 \Lambda^{-1}), \qquad s_k^2 \sim \mathrm{InverseGamma}(a, b),

so :math:`\Lambda` counts rows, and with sums about the current effects (`LinearRegression`)

.. math:: \Lambda_k = \Lambda + G_k, \quad \Lambda_k (m_k - \beta_k) = f_k + \Lambda (m - \beta_k), \quad
    a_k = a + \tfrac{N_k}2, \quad
    b_k = b + \tfrac12 \big(S_k + |m - \beta_k|_\Lambda^2 - |m_k - \beta_k|_{\Lambda_k}^2\big) .

Without degrees of freedom, :math:`a = b = 0`, the mode is ridge regression. The density is that of effects and
variances.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Any

import torch
from torch import Generator, Tensor

from ..components import Component, LinearRegression, Statistics
from ..components.regression.averaged import AveragedRegression
from ..components.regression.regression import moved
from ..components.special.gamma_draws import gamma
from ..errors import refuse
from .components import ComponentsPrior
from .conjugate import ConjugatePosterior, ConjugatePrior

__all__ = ["NormalInverseGamma", "NormalInverseGammaPosterior"]

_FEW = 0.01  # rows that a weak prior counts as


@dataclass(frozen=True, eq=False, repr=False, init=False)
class NormalInverseGamma(ConjugatePrior):
    r"""The conjugate prior of a linear regression's effects and residual variance, shared by all components.

    Arguments:
        mean: The means m of intercept and coefficients, with shape ``(Q,)``; of coefficients alone without intercept.
        precision: :math:`\Lambda`, in rows, with shape ``(Q,)`` for independent effects or ``(Q, Q)``.
        shape: The shape :math:`a \ge 0`.
        rate: The rate :math:`b \ge 0`, in squared units of the target.
        centre: The covariates at which the intercept is meant, with shape ``(P,)``; zeros by default.

    Raises:
        MixtureError: If shapes do not fit, or a number is negative.

    Example:
        >>> ridge = mx.priors.NormalInverseGamma(torch.zeros(2), torch.tensor([0.0, 3.0]), 0.0, 0.0)
        >>> x = torch.tensor([[-1.0, -2.0], [0.0, 1.0], [1.0, 2.0]])
        >>> method = mx.EM(prior=mx.Prior(components=ridge))
        >>> mx.fit(x, 1, family=mx.LinearRegression, method=method).mixture.components.coefficients
        tensor([[0.8000]])
    """

    mean: Tensor
    precision: Tensor
    shape: float
    rate: float
    centre: Tensor

    def __init__(
        self, mean: Tensor, precision: Tensor, shape: float, rate: float, centre: Tensor | None = None
    ) -> None:
        precision = torch.diag(precision) if precision.ndim == 1 else precision
        if mean.ndim != 1 or tuple(precision.shape) != (len(mean),) * 2:
            refuse("precision", f"of shape ({len(mean)},) or ({len(mean)}, {len(mean)})", tuple(precision.shape))
        if not bool((torch.linalg.eigvalsh(precision) >= -1e-9 * precision.abs().amax()).all()):
            refuse("precision", "symmetric positive semi-definite", "a matrix that is not")
        if not (shape >= 0 and rate >= 0):
            refuse("shape", "at least 0, as the rate", (shape, rate))
        centre = torch.zeros_like(mean) if centre is None else centre
        fields = {"mean": mean, "precision": precision, "shape": float(shape), "rate": float(rate), "centre": centre}
        for name, value in fields.items():
            object.__setattr__(self, name, value)

    @classmethod
    def weak(cls, mean: Tensor, variance: Tensor, components: Any) -> NormalInverseGamma:
        r"""Returns a weakly informative prior for data of this mean and variance, each ``(D,)``.

        A flat line at the mean target counts as a hundredth of a row; the variance has :math:`a = 3/2` and
        :math:`b = v / 2 K^2`, with v that of the target, as a normal law's in `Prior.weak`.
        """
        lines = _lines(components)
        at, count = lines.covariates, lines.batch_shape[-1]
        squares = variance[at] if lines.constant else variance[at] + mean[at].square()
        level, one = mean[[lines.target]][: lines.constant], torch.ones_like(mean[:1])[: lines.constant]
        location = torch.cat([level, torch.zeros_like(squares)])
        centre = mean[at] if lines.constant else torch.zeros_like(squares)
        rate = 0.5 * variance[lines.target].item() / count**2
        return cls(location, _FEW * torch.cat([one, squares]), 1.5, rate, centre)

    def posterior(self, statistics: Statistics, components: Component) -> NormalInverseGammaPosterior:
        """Returns the normal-inverse-gamma law of effects and variances given sums over rows."""
        lines = _lines(components)
        mean, precision = self.about(lines)
        gram, pull, square = statistics.moments
        gap = mean - lines.effect.double()
        total = precision + gram
        push = pull + _times(precision, gap)
        step = _solved(total, push)
        left = square + (gap * _times(precision, gap)).sum(-1) - (step * push).sum(-1)
        return NormalInverseGammaPosterior._of(
            template=lines,
            location=lines.effect.double() + step,
            precision=total,
            shape=self.shape + 0.5 * statistics.weight,
            rate=self.rate + 0.5 * left.clamp_min(0),
        )

    def alone(self, components: Component) -> NormalInverseGammaPosterior:
        """Returns the prior itself as a law."""
        lines = _lines(components)
        mean, precision = self.about(lines)
        like = torch.zeros(lines.batch_shape, dtype=torch.float64, device=lines.device)
        parts = {"shape": like + self.shape, "rate": like + self.rate}
        return NormalInverseGammaPosterior._of(template=lines, location=mean, precision=precision, **parts)

    def about(self, lines: LinearRegression) -> tuple[Tensor, Tensor]:
        """Returns mean and precision of effects about the components' centres, ``(*B, K, Q)`` and ``(*B, K, Q, Q)``."""
        effects, covariates = lines.effect.shape[-1], lines.centre.shape[-1]
        if len(self.mean) != effects:
            refuse("prior", f"on {effects} effects", f"a mean of shape {tuple(self.mean.shape)}")
        centre = lines.centre.double()
        a = moved(centre - self.centre.to(centre)[..., -covariates:], lines.constant)
        back = torch.linalg.solve(a.mT, self.mean.to(centre).expand(*a.shape[:-1]).unsqueeze(-1)).squeeze(-1)
        return back, a @ self.precision.to(centre) @ a.mT


@dataclass(frozen=True, eq=False, repr=False)
class NormalInverseGammaPosterior(ConjugatePosterior):
    r"""The law of all components' effects and residual variances given sums over rows.

    Arguments:
        template: The components that name family, centre and dtype.
        location: :math:`m_k`, with shape ``(*B, K, Q)``.
        precision: :math:`\Lambda_k`, with shape ``(*B, K, Q, Q)``.
        shape: :math:`a_k`, with shape ``(*B, K)``.
        rate: :math:`b_k`, with shape ``(*B, K)``.
    """

    template: LinearRegression
    location: Tensor
    precision: Tensor
    shape: Tensor
    rate: Tensor

    def mode(self) -> LinearRegression:
        return self._components(self.location, self.rate / (self.shape + 1 + 0.5 * self.location.shape[-1]))

    @property
    def mean(self) -> LinearRegression:
        """The components at the posterior means of effects and variance; NaN where the latter has none."""
        divisor = self.shape - 1
        return self._components(self.location, self.rate / divisor.where(divisor > 0, torch.nan))

    @property
    def proper(self) -> Tensor:
        return torch.linalg.cholesky_ex(self.precision).info == 0

    def draw(self, generator: Generator | None = None) -> LinearRegression:
        variance = self.rate / gamma(self.shape, generator)
        noise = torch.randn(self.location.shape, dtype=torch.float64, device=variance.device, generator=generator)
        root = torch.linalg.cholesky(self.precision)
        gap = torch.linalg.solve_triangular(root.mT, noise.unsqueeze(-1), upper=True).squeeze(-1)
        return self._components(self.location + variance.sqrt().unsqueeze(-1) * gap, variance)

    def expected(self) -> tuple[AveragedRegression, Tensor]:
        """Returns regressions at the expected precision, less what doubt about effects costs, and offsets."""
        lines = self._components(self.location, self.rate / self.shape)
        doubt = torch.cholesky_inverse(torch.linalg.cholesky(self.precision))
        offset = 0.5 * (torch.digamma(self.shape) - self.shape.log())
        return AveragedRegression.of(lines, doubt.to(lines.dtype)), offset.to(lines.dtype)

    def log_prob(self, components: Component) -> Tensor:
        lines = _lines(components)
        gap, variance = lines.effect.double() - self.location, lines.scale.double().square()
        quadratic = (gap * _times(self.precision, gap)).sum(-1)
        size = gap.shape[-1]
        normal = 0.5 * (self._log_det() - size * (2 * math.pi * variance).log() - quadratic / variance)
        return (normal + self._log_gamma(variance)).sum(-1)

    def divergence(self, prior: ComponentsPrior) -> Tensor:
        other = prior.alone(self.template)
        gap, a, b = self.location - other.location, self.shape, self.rate  # type: ignore[attr-defined]
        inverse = torch.cholesky_inverse(torch.linalg.cholesky(self.precision))
        theirs: Tensor = other.precision  # type: ignore[attr-defined]
        spread = torch.einsum("...ij,...ji->...", theirs, inverse) - gap.shape[-1]
        squares = a / b * (gap * _times(theirs, gap)).sum(-1)
        normal = 0.5 * (spread + squares + self._log_det() - other._log_det())  # type: ignore[attr-defined]
        c, d = other.shape, other.rate  # type: ignore[attr-defined]
        gammas = (a - c) * torch.digamma(a) - torch.lgamma(a) + torch.lgamma(c)
        return (normal + gammas + c * (b / d).log() + a * (d - b) / b).sum(-1)

    def _log_det(self) -> Tensor:
        found = torch.logdet(self.precision)
        return found.where(found.isfinite(), 0)  # an improper law has no normaliser

    def _log_gamma(self, variance: Tensor) -> Tensor:
        """The log-density of variances; without degrees of freedom up to a constant."""
        proper = (self.shape > 0) & (self.rate > 0)
        a, b = self.shape.where(proper, 1), self.rate.where(proper, 1)
        constant = torch.where(proper, a * b.log() - torch.lgamma(a), 0)
        return constant - (self.shape + 1) * variance.log() - self.rate / variance

    def _components(self, effect: Tensor, variance: Tensor) -> LinearRegression:
        dtype = self.template.dtype
        return self.template._replace(effect=effect.to(dtype), scale=variance.sqrt().to(dtype))


def _lines(components: Component) -> LinearRegression:
    if not isinstance(components, LinearRegression):
        refuse("prior", "one for the family", f"a NormalInverseGamma for {type(components).__name__} components")
    return components.lines


def _times(matrix: Tensor, vector: Tensor) -> Tensor:
    return (matrix @ vector.unsqueeze(-1)).squeeze(-1)


def _solved(matrix: Tensor, right: Tensor) -> Tensor:
    from_left, _ = torch.linalg.solve_ex(matrix, right.unsqueeze(-1))
    return from_left.squeeze(-1)
