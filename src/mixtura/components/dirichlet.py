r"""The Dirichlet family on shares that sum to one, and the beta family on one share.

.. math:: \log p(x; \alpha) = \sum_c (\alpha_c - 1)\log x_c - A, \qquad
    \eta = \alpha - 1, \quad T = \log x, \quad A = \sum_c \log\Gamma(\alpha_c) - \log\Gamma(\textstyle\sum_c\alpha_c) .

The M-step maximises a concave function of :math:`\alpha`, given the mean logarithms g. Newton's step solves a diagonal
matrix plus a rank-one term, so it costs no more than the gradient (Minka, 2000, Estimating a Dirichlet distribution).
It starts from the better of the current parameters and of what holds for large ones, where
:math:`\psi(\alpha) \approx \log(\alpha - \tfrac12)`,

.. math:: \alpha_c \approx \tfrac12 + (s - \tfrac12) e^{g_c}, \qquad
    s = \sum_c\alpha_c \approx \frac{C - \sum_c e^{g_c}}{2(1 - \sum_c e^{g_c})},

and never returns less likely parameters than the current ones.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, ClassVar

import torch
from torch import Generator, Tensor
from torch.distributions import constraints

from ..errors import refuse
from ..kernels.laws import Law
from .argument import Argument
from .coordinates import Coordinates
from .domains import OPEN_UNIT, SHARES
from .exponential_family import ExponentialFamily, MatchedMeans
from .family import OfVectors
from .special.beta_cdf import beta_below
from .special.gamma_draws import gamma
from .special.log_terms import log_beta_power

__all__ = ["Beta", "Dirichlet"]

_MOST = 1e12  # of a learned total concentration
_POINT = 1e10  # a total concentration from which on a component is a point
_STEPS = 25


def _normaliser(alpha: Tensor) -> Tensor:
    return torch.lgamma(alpha).sum(-1) - torch.lgamma(alpha.sum(-1))


def _solve(mean_log: Tensor, current: Tensor) -> Tensor:
    """Returns the concentrations ``(..., C)`` whose mean logarithms are given."""

    def value(alpha: Tensor) -> Tensor:
        return ((alpha * mean_log).sum(-1) - _normaliser(alpha)).unsqueeze(-1)

    current, guess = current.to(mean_log), _guess(mean_log)
    alpha = torch.where(value(current) > value(guess), current, guess)
    for _ in range(_STEPS):
        step = _newton(alpha, mean_log)
        alpha = torch.where(step > 0, alpha + step, alpha * (step / alpha).clamp_min(-3).exp())
        whole = alpha.sum(-1, keepdim=True)
        alpha = alpha * (_MOST / whole).clamp_max(1)
        rounding = 8 * torch.finfo(alpha.dtype).eps * whole
        if not bool(((step.abs() > (1e-9 + rounding) * alpha) & (whole < _POINT)).any()):
            break
    return torch.where(value(alpha) < value(current), current, alpha)


def _guess(mean_log: Tensor) -> Tensor:
    """Concentrations that are right to some per cent where they are above one."""
    total = torch.logsumexp(mean_log, -1, keepdim=True)
    whole = (mean_log.shape[-1] - total.exp()) / (-2 * torch.expm1(total)).clamp_min(1 / _MOST)
    log_alpha = mean_log + (whole - 0.5).log()
    few = -1 / (log_alpha - _DIGAMMA_OF_ONE)  # where digamma is all but -1 / alpha
    return torch.where(log_alpha > _FEW, log_alpha.exp() + 0.5, few)


def _many(alpha: Tensor) -> Tensor:
    """Tells which concentrations ``(..., C)`` are of a point."""
    return ~(alpha.sum(-1) < _POINT)


def _newton(alpha: Tensor, mean_log: Tensor) -> Tensor:
    """The Newton step in the concentrations."""
    total = alpha.sum(-1, keepdim=True)
    gradient = mean_log - torch.digamma(alpha) + torch.digamma(total)
    diagonal = -torch.polygamma(1, alpha)
    rank_one = torch.polygamma(1, total)
    shift = (gradient / diagonal).sum(-1, keepdim=True) / (1 / rank_one + (1 / diagonal).sum(-1, keepdim=True))
    return -(gradient - shift) / diagonal


_DIGAMMA_OF_ONE, _FEW = -0.5772156649015329, -2.22  # Minka's inverse of digamma, and where it changes sides


@dataclass(frozen=True, eq=False, repr=False, init=False)
class Beta(Coordinates, ExponentialFamily):
    r"""K beta distributions on numbers strictly between 0 and 1.

    Arguments:
        concentration1: The exponents :math:`a_k` of x, with shape ``(*B, K)``; ``(*B, K, D)`` for vectors.
        concentration0: The exponents :math:`b_k` of 1 - x, in the same shape; the mean is a/(a + b).
        vectors: Whether rows are vectors with independent coordinates.

    Raises:
        MixtureError: If a parameter is not positive and finite.

    Example:
        >>> mx.Beta(torch.tensor([1.0, 3.0]), torch.tensor([1.0, 1.0])).mean
        tensor([0.5000, 0.7500])
    """

    arguments: ClassVar = {"concentration1": constraints.positive, "concentration0": constraints.positive}
    domain = OPEN_UNIT
    law = Law.BETA
    narrows = True
    concentration1: Tensor
    concentration0: Tensor

    def __init__(self, concentration1: Tensor, concentration0: Tensor | float, *, vectors: bool = False) -> None:
        self._seal(vectors, concentration1=concentration1, concentration0=concentration0)

    def sufficient(self, x: Tensor) -> Tensor:
        return torch.stack([x.log(), torch.log1p(-x)], -1)

    @property
    def natural(self) -> Tensor:
        return torch.stack([self.concentration1, self.concentration0], -1) - 1

    def log_normaliser(self, natural: Tensor) -> Tensor:
        return _normaliser(natural + 1)

    def base(self, x: Tensor) -> Tensor:
        return torch.zeros_like(x)

    def _density(self, x: Tensor) -> Tensor:
        if self.vectors:
            return super()._density(x)
        rows = x.unsqueeze(-1)
        power = log_beta_power(self.concentration1, self.concentration0, rows, 1 - rows)
        return power - rows.log() - torch.log1p(-rows)

    def from_mean(self, mean: Tensor) -> Beta:
        one, other = _solve(mean, self.natural + 1).unbind(-1)
        return self._replace(concentration1=one, concentration0=other)

    def with_natural(self, natural: Tensor) -> Beta:
        return self._replace(concentration1=natural[..., 0] + 1, concentration0=natural[..., 1] + 1)

    def _inside(self) -> float:
        return 0.5

    @property
    def mean(self) -> Tensor:
        return self.concentration1 / (self.concentration1 + self.concentration0)

    @property
    def variance(self) -> Tensor:
        return self.mean * (1 - self.mean) / (self.concentration1 + self.concentration0 + 1)

    def collapsed(self, floor: Tensor) -> Tensor:
        many = _many(self.natural + 1).reshape(*self.batch_shape, -1).any(-1)
        return super().collapsed(floor) | many

    def _cdf(self, x: Tensor) -> Tensor:
        share = x.clamp(0, 1)
        return beta_below(self.concentration1, self.concentration0, share, 1 - share)

    def _survival(self, x: Tensor) -> Tensor:
        share = x.clamp(0, 1)
        return beta_below(self.concentration0, self.concentration1, 1 - share, share)

    def _draw(self, generator: Generator | None) -> Tensor:
        one, other = gamma(self.concentration1, generator), gamma(self.concentration0, generator)
        finfo = torch.finfo(self.dtype)
        return (one / (one + other)).clamp(finfo.tiny, 1 - finfo.eps)


@dataclass(frozen=True, eq=False, repr=False, init=False)
class Dirichlet(ExponentialFamily):
    r"""K Dirichlet distributions on vectors of positive shares that sum to one.

    Arguments:
        concentration: The concentrations :math:`\alpha_k`, positive, with shape ``(*B, K, C)``; the mean is
            :math:`\alpha/\sum\alpha`.

    Raises:
        MixtureError: If a concentration is not positive and finite, or there are fewer than two shares.

    Example:
        >>> mx.Dirichlet(torch.tensor([[1.0, 3.0], [2.0, 2.0]])).mean
        tensor([[0.2500, 0.7500],
                [0.5000, 0.5000]])
    """

    domain = SHARES
    law = Law.DIRICHLET
    narrows = True
    concentration: Tensor

    def __init__(self, concentration: Tensor) -> None:
        if not isinstance(concentration, Tensor) or concentration.ndim < 2 or concentration.shape[-1] < 2:
            refuse(
                "concentration", "a tensor (..., K, C) with at least two shares", getattr(concentration, "shape", None)
            )
        if not bool(((concentration > 0) & concentration.isfinite()).all()):
            refuse("concentration", "positive and finite", concentration.detach().min().item())
        object.__setattr__(self, "concentration", concentration)

    def verify(self) -> None:
        super().verify()
        Dirichlet(self.concentration)

    @property
    def batch_shape(self) -> torch.Size:
        return self.concentration.shape[:-1]

    @property
    def event_shape(self) -> torch.Size:
        return self.concentration.shape[-1:]

    @property
    def parameters(self) -> int:
        return self.concentration.shape[-2:].numel()

    @property
    def support(self) -> Any:
        return constraints.simplex

    def sufficient(self, x: Tensor) -> Tensor:
        return x.log()

    @property
    def natural(self) -> Tensor:
        return self.concentration - 1

    def log_normaliser(self, natural: Tensor) -> Tensor:
        return _normaliser(natural + 1)

    def base(self, x: Tensor) -> Tensor:
        return torch.zeros_like(x[..., 0])

    def from_mean(self, mean: Tensor) -> Dirichlet:
        return self._replace(concentration=_solve(mean, self.concentration))

    def with_natural(self, natural: Tensor) -> Dirichlet:
        return self._replace(concentration=natural + 1)

    @property
    def mean(self) -> Tensor:
        return self.concentration / self.concentration.sum(-1, keepdim=True)

    @property
    def variance(self) -> Tensor:
        return self.mean * (1 - self.mean) / (self.concentration.sum(-1, keepdim=True) + 1)

    @property
    def covariance(self) -> Tensor:
        total = self.concentration.sum(-1)[..., None, None] + 1
        outer = self.mean.unsqueeze(-1) * self.mean.unsqueeze(-2)
        return (torch.diag_embed(self.mean) - outer) / total

    def collapsed(self, floor: Tensor) -> Tensor:
        return super().collapsed(floor) | _many(self.concentration)

    def draw(self, labels: Tensor, generator: Generator | None = None) -> Tensor:
        parts = gamma(self.chosen(labels).concentration, generator).clamp_min(torch.finfo(self.dtype).tiny)
        return parts / parts.sum(-1, keepdim=True)


class BetaFamily(MatchedMeans, of=[Beta]):
    """Beta components; starts are sought among the logits of rows."""

    def embed(self, x: Tensor) -> Tensor:
        return x.logit().reshape(len(x), -1)


class DirichletFamily(OfVectors, MatchedMeans, of=[Dirichlet]):
    """Dirichlet components."""

    def arguments(self, features: int | None) -> dict[str, Argument]:
        return {"concentration": Argument(constraints.positive, (features or 1,))}

    def made(self, values: Mapping[str, Tensor], features: int | None) -> Dirichlet:
        return Dirichlet._of(concentration=values["concentration"])

    def read(self, components: Any) -> dict[str, Tensor]:
        return {"concentration": components.concentration}

    def neutral(self, x: Tensor, batch: tuple[int, ...]) -> Dirichlet:
        return Dirichlet(x.new_ones(*batch, *x.shape[1:]))
