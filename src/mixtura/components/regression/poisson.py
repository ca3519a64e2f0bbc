r"""Poisson regression of counts, with a logarithmic link.

.. math:: \log p_k(y | z) = y\, \eta_k - e^{\eta_k} - \log y!
    = -y\,(e^\delta - 1 - \delta) - \tfrac12 \log(2\pi y) - s(y), \qquad \delta = \eta_k - \log y,

with s as in `components.special.log_terms`. The latter is taken where a count is foretold well: of a large one the
former is a difference of millions.
"""

from __future__ import annotations

import math
from dataclasses import dataclass

import torch
from torch import Tensor
from torch.distributions import constraints

from ...kernels.regressions import RegressionLaw
from ..base import Component
from ..poisson import Poisson
from ..special.log_terms import exp_rest, stirling_rest
from .generalised import Generalised

__all__ = ["PoissonRegression"]

_LOG_LEAST, _LOG_MOST = -60.0, 80.0  # of rates that are laws of their own
_NONE, _NEAR = 1e-30, 0.5  # a count that is none, and a difference of logarithms that is small


@dataclass(frozen=True, eq=False, repr=False, init=False)
class PoissonRegression(Generalised):
    r"""K Poisson regressions of counts in one column of a row on the others: :math:`\log\lambda` is linear.

    Arguments:
        intercept: The intercepts, with shape ``(*B, K)``; none for predictors through the origin.
        coefficients: The coefficients of the covariates, in the order of their columns, with shape ``(*B, K, P)``.
        target: The column of the counts; the last one by default.

    A fit takes ``family=mx.PoissonRegression`` or a template: ``target`` and ``features`` by number or name, and
    ``intercept=False``. ``mixture.condition(covariates, values)`` is a mixture of `Poisson` components for each row.

    Raises:
        MixtureError: If a shape does not fit, or a coefficient is not finite.

    Example:
        >>> counts = mx.PoissonRegression(torch.tensor([0.0]), torch.tensor([[1.0]]))
        >>> mx.Mixture(torch.ones(1), counts).condition([0], [0.0]).components.rate
        tensor([1.])
    """

    response = constraints.nonnegative_integer
    compiled = RegressionLaw.POISSON

    def __init__(self, intercept: Tensor | None, coefficients: Tensor, target: int = -1) -> None:
        self._seal(intercept, coefficients, target)

    def density(self, x: Tensor, y: Tensor, predictor: Tensor) -> Tensor:
        y = y.unsqueeze(-1)
        level = y.clamp_min(_NONE).log()
        gap = predictor - level
        near = -y * exp_rest(gap.clamp(-_NEAR, _NEAR))
        told = torch.where(gap.abs() < _NEAR, near, y * (gap + 1) - predictor.exp())
        return told + _at_best(y, level)

    def law(self, x: Tensor, predictor: Tensor) -> Component:
        return Poisson._of(rate=predictor.clamp(_LOG_LEAST, _LOG_MOST).exp(), vectors=False)

    def moments(self, x: Tensor, predictor: Tensor) -> tuple[Tensor, Tensor]:
        rate = predictor.exp()
        return rate, rate


def _at_best(y: Tensor, level: Tensor) -> Tensor:
    r"""The log-probability of counts where they are foretold exactly, :math:`y \log y - y - \log y!`."""
    some = y.clamp_min(1)
    return torch.where(
        y < 1, y * level - y - torch.lgamma(y + 1), -0.5 * (2 * math.pi * some).log() - stirling_rest(some)
    )
