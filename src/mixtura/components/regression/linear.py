r"""Linear regression with normal residuals.

.. math:: \log p_k(y | z) = -\frac{(y - \eta_k)^2}{2 s_k^2} - \log s_k - \tfrac12\log 2\pi .

With :math:`e = y - \eta_k` about the current predictor and the design u, the sums are :math:`G = \sum r u u^\top`,
:math:`f = \sum r e u` and :math:`S = \sum r e^2`, and the most likely step of the effects and the variance after it

.. math:: G d = f, \qquad s^2 = (S - f \cdot d) / N .

Sums about residuals are to ordinary ones as second moments about means are to raw ones: what is solved for is a change,
which becomes none. Where rows do not vary along a direction of the effects, it stays as it is.
"""

from __future__ import annotations

import math
from dataclasses import dataclass, replace
from typing import Any, Self

import torch
from torch import Tensor

from ...errors import refuse
from ...kernels.regressions import Given, RegressionLaw, RegressionSums
from ..base import Component
from ..normal import Normal
from ..statistics import Statistics
from .regression import Regression
from .sums import pulls, solved, squares

__all__ = ["LinearRegression"]

_HALF_LOG_TWO_PI = 0.5 * math.log(2 * math.pi)


@dataclass(frozen=True, eq=False, repr=False, init=False)
class LinearRegression(Regression):
    r"""K linear regressions of one column of a row on the others, with normal residuals.

    Arguments:
        intercept: The intercepts, with shape ``(*B, K)``; none for lines through the origin.
        coefficients: The coefficients of the covariates, in the order of their columns, with shape ``(*B, K, P)``.
        scale: The standard deviations :math:`s_k` of the residuals, with shape ``(*B, K)``.
        target: The column that is explained; the last one by default.

    A fit takes ``family=mx.LinearRegression`` or a template: ``target`` and ``features`` by number or name, and
    ``intercept=False`` for lines through the origin. Log-densities are those of the target given the covariates, in
    nats; ``mixture.condition(covariates, values)`` is a mixture of `Normal` components for each row of values.

    Raises:
        MixtureError: If a shape does not fit, or a scale is not positive and finite.

    Example:
        >>> lines = mx.LinearRegression(torch.tensor([0.0, 1.0]), torch.tensor([[2.0], [-1.0]]), 0.5)
        >>> mixture = mx.Mixture(torch.ones(2), lines).named(["z", "y"])
        >>> mixture.condition(["z"], [[1.0], [3.0]]).components.mean
        tensor([[ 2.,  0.],
                [ 6., -2.]])
    """

    scale: Tensor

    def __init__(self, intercept: Tensor | None, coefficients: Tensor, scale: Tensor | float, target: int = -1) -> None:
        scale = torch.as_tensor(scale, dtype=coefficients.dtype, device=coefficients.device)
        if not bool((scale > 0).all() & scale.isfinite().all()):
            refuse("scale", "positive and finite", scale.detach().flatten()[:3].tolist())
        self._seal(intercept, coefficients, target, scale=scale.expand(coefficients.shape[:-1]))

    def verify(self) -> None:
        super().verify()
        if not bool((self.scale > 0).all()):
            refuse("scale", "positive", self.scale.min().item())

    @property
    def parameters(self) -> int:
        return super().parameters + self.batch_shape[-1]

    narrows = True
    compiled = RegressionLaw.LINEAR

    @property
    def span(self) -> int:
        return self.effect.shape[-1]

    def thinness(self, weights: Tensor) -> Tensor:
        variance = self.scale.double().square()
        return variance / (weights * variance).sum(-1, keepdim=True)

    @property
    def traits(self) -> Tensor:
        return torch.cat([self.effect, self.scale.log().unsqueeze(-1)], -1)

    def density(self, x: Tensor, y: Tensor, predictor: Tensor) -> Tensor:
        z = (y.unsqueeze(-1) - predictor) / self.scale
        return -0.5 * z.square() - self.scale.log() - _HALF_LOG_TWO_PI

    def law(self, x: Tensor, predictor: Tensor) -> Component:
        return Normal(predictor, self.scale.expand(predictor.shape), validate_args=False)

    @property
    def has_lines(self) -> bool:
        return True

    @property
    def lines(self) -> LinearRegression:
        """The regressions themselves."""
        return self

    # -- learning

    def started(self, effect: Tensor, left: Tensor) -> Self:
        return self._replace(effect=effect, scale=left.sqrt())

    @property
    def sums_add(self) -> bool:
        return True

    def given(self, law: RegressionLaw, logits: Tensor) -> Given:
        known, scale = super().given(law, logits), self.scale.double().reshape(-1, self.batch_shape[-1])
        return replace(known, logits=known.logits - scale.log() - _HALF_LOG_TWO_PI, precision=1 / scale)

    def moments_of(self, found: RegressionSums) -> tuple[Tensor, ...]:
        return self.about_centres(found.gram), self.pulled(found.pull), found.square

    def statistics(self, x: Tensor, r: Tensor) -> tuple[Tensor, ...]:
        """Returns G ``(*B, K, Q, Q)``, f ``(*B, K, Q)`` and S ``(*B, K)``, about the current predictor."""
        u, r, own = self.designed(x), r.double(), self.to(torch.float64)
        y, batch = x[..., self.target].double(), len(self.batch_shape) - 1
        e = y.reshape(-1, *(1,) * (batch + 1)) - own.predictor(own._shared(x.double()))
        pull = r * e
        gram = self.about_centres(squares(u, r))
        return gram, self.pulled(pulls(u, pull)), (pull * e).sum(0)

    def sums_units(self, statistics: Statistics) -> tuple[Tensor, ...]:
        gram, _, square = (moment.mean(len(self.batch_shape) - 1, keepdim=True) for moment in statistics.moments)
        length = gram.diagonal(dim1=-2, dim2=-1).sqrt()
        return length.unsqueeze(-1) * length.unsqueeze(-2), length * square.sqrt().unsqueeze(-1), square

    def restated(self, statistics: Statistics, old: Self) -> Statistics:
        r"""With :math:`d = \beta_{old} - \beta`, residuals grow by :math:`u \cdot d`."""
        gram, pull, square = statistics.moments
        gap = old.effect.double() - self.effect.double()
        more = (gram @ gap.unsqueeze(-1)).squeeze(-1)
        moments = gram, pull + more, square + (gap * (2 * pull + more)).sum(-1)
        return Statistics(statistics.log_likelihood, statistics.weight, moments)

    def update(self, statistics: Statistics, prior: Any = None) -> Self:
        if prior is not None:
            return prior.posterior(statistics, self).mode()
        gram, pull, square = statistics.moments
        step = solved(gram, pull)
        variance = (square - (step * pull).sum(-1)) / statistics.weight
        effect = (self.effect.double() + step).to(self.dtype)
        return self._replace(effect=effect, scale=variance.sqrt().to(self.dtype))

    def broken(self) -> Tensor:
        return super().broken() | ~self.scale.isfinite()

    def collapsed(self, floor: Tensor) -> Tensor:
        return self.broken() | ~(self.scale.square() >= floor[self.target])
