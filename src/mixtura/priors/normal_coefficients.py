r"""A normal prior of the coefficients of Poisson and logistic regressions, which bounds what data leave open.

.. math:: b_{kj} \sim N(0, t_j^2) \quad\text{independently, the intercept flat} .

It is not conjugate, but adds :math:`-b/t^2` to the slope and :math:`1/t^2` to the curvature of the expected
log-likelihood, which stays concave: so Newton's steps climb the posterior.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor

from ..components import Component
from ..errors import refuse
from .components import ComponentsPrior

__all__ = ["NormalCoefficients"]


@dataclass(frozen=True, eq=False, repr=False, init=False)
class NormalCoefficients(ComponentsPrior):
    r"""Normal coefficients of generalised regressions, the same for all components.

    Arguments:
        scale: Their standard deviations t, a number or one for each covariate ``(P,)``, in units of the predictor over
            those of the covariate.

    Raises:
        MixtureError: If a scale is not positive.

    Give it to `EM`: ``mx.EM(prior=mx.Prior(components=mx.priors.NormalCoefficients(2.5)))``.

    Example:
        >>> x = torch.tensor([[-2.0, 0.0], [-1.0, 0.0], [1.0, 1.0], [2.0, 1.0]])  # which no line separates by itself
        >>> method = mx.EM(prior=mx.Prior(components=mx.priors.NormalCoefficients(2.5)))
        >>> mx.fit(x, 1, family=mx.LogisticRegression, method=method).converged
        True
    """

    scale: Tensor

    def __init__(self, scale: float | Tensor) -> None:
        scale = torch.as_tensor(scale, dtype=torch.float64)
        if not bool((scale > 0).all()):
            refuse("scale", "positive", scale.tolist())
        object.__setattr__(self, "scale", scale)

    def penalised(self, components: Any, curvature: Tensor, slope: Tensor) -> tuple[Tensor, Tensor]:
        precision, effect = self._precision(components), components.effect.double()
        return curvature + torch.diag_embed(precision), slope - precision * effect

    def log_prob(self, components: Component) -> Tensor:
        """Returns the log-density of the coefficients, summed over components, in nats, with shape ``(*B,)``."""
        regression: Any = components
        slopes, scale = regression.coefficients.double(), self.scale.to(regression.device)
        density = -0.5 * (slopes / scale).square() - (scale * math.sqrt(2 * math.pi)).log()
        return density.sum((-1, -2))

    def _precision(self, components: Any) -> Tensor:
        """The precision of each effect, ``(*B, K, Q)``: none of the intercept."""
        slopes = components.coefficients
        if self.scale.ndim and self.scale.shape != slopes.shape[-1:]:
            refuse("scale", f"a number, or one for each of {slopes.shape[-1]} covariates", tuple(self.scale.shape))
        found = self.scale.to(slopes.device).square().reciprocal().expand(slopes.shape)
        return torch.cat([torch.zeros_like(found[..., :1]), found], -1) if components.constant else found
