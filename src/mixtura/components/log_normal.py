r"""The log-normal family: a Gaussian of the logarithms.

.. math:: \log p(x) = \log N(\log x; \mu_k, \Sigma_k) - \textstyle\sum_d \log x_d ,

so everything but the last term, and the moments, is the Gaussian's own work on log x.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Self

import torch
from torch import Generator, Tensor
from torch.distributions import constraints

from . import gaussian_inside as inside
from .argument import Argument
from .base import Component, Labels
from .covariance.diagonal import Diagonal
from .covariance.structure import Structure
from .domains import representable
from .family import LogView, StructuredFamily
from .gaussian_inside import GaussianInside, starting_gaussian
from .statistics import Statistics

__all__ = ["LEAST", "LogNormal"]

LEAST = 16  # units in the last place: the variance of logarithms below which a component has collapsed


@dataclass(frozen=True, eq=False, repr=False, init=False)
class LogNormal(GaussianInside):
    r"""K log-normal distributions on positive numbers, or on vectors of them with correlated logarithms.

    Arguments:
        loc: The means :math:`\mu_k` of log x, with shape ``(*B, K)`` for numbers and ``(*B, K, D)`` for vectors.
        scale: The standard deviations of log x in the shape of ``loc`` for numbers; for vectors a structure with values
            for their covariance, such as ``mx.Diagonal(variance)``.

    Raises:
        MixtureError: If a shape does not fit, or a scale is not positive and finite.

    Example:
        >>> mx.LogNormal(torch.tensor([0.0, 1.0]), torch.tensor([1.0, 0.5])).mean
        tensor([1.6487, 3.0802])
    """

    domain = constraints.positive

    def __init__(self, loc: Tensor, scale: Tensor | Structure) -> None:
        self._set_inner(loc, scale)

    @property
    def gaussian_image(self) -> bool:
        return True

    @property
    def support(self) -> Any:
        return constraints.independent(constraints.positive, len(self.event_shape))

    @property
    def mean(self) -> Tensor:
        return self._event((self.gaussian.location + 0.5 * self.gaussian.variance).exp())

    @property
    def variance(self) -> Tensor:
        return self.mean.square() * torch.expm1(self._event(self.gaussian.variance))

    @property
    def covariance(self) -> Tensor:
        if not self.vectors:
            return self.variance
        return self.mean.unsqueeze(-1) * self.mean.unsqueeze(-2) * torch.expm1(self.gaussian.covariance)

    def log_prob(self, x: Tensor) -> Tensor:
        bad = ~(x > 0)
        logarithm = self._vector(torch.where(bad, 1, x).double().log())  # narrow ones tell logarithms' last digits
        density = self.gaussian.to(torch.float64).log_prob(logarithm) - logarithm.sum(-1, keepdim=True)
        return self._within(density.to(self.dtype), x, bad)

    def draw(self, labels: Tensor, generator: Generator | None = None) -> Tensor:
        return representable(self._event(self.gaussian.draw(labels, generator).exp()))

    def expect(self, logits: Tensor, x: Tensor, weight: Tensor | None, labels: Labels) -> Statistics:
        logarithm = self._vector(x.log())
        sums = self.gaussian.expect(logits, logarithm, weight, labels)
        volume = logarithm.double().sum(-1)
        volume = volume.sum() if weight is None else volume @ weight.double()
        return Statistics(sums.log_likelihood - volume, sums.weight, sums.moments)

    def statistics(self, x: Tensor, r: Tensor) -> tuple[Tensor, ...]:
        """Returns the Gaussian's sums for log x."""
        return self.gaussian.statistics(self._vector(x.log()), r)

    def update(self, statistics: Statistics, prior: Any = None) -> Self:
        return self.with_gaussian(self.gaussian.update(statistics, prior))

    def collapsed(self, floor: Tensor) -> Tensor:
        return self.gaussian.collapsed(
            torch.full_like(self.gaussian.location[..., :1], LEAST * torch.finfo(self.dtype).eps)
        )

    def marginal(self, dims: Sequence[int]) -> Self:
        return self.with_gaussian(self.gaussian.marginal(dims))

    def condition(self, dims: Sequence[int], values: Tensor) -> tuple[Component, Tensor]:
        gaussian, density = self.gaussian.condition(dims, values.log())
        return self.with_gaussian(gaussian), density - values.log().sum(-1, keepdim=True)

    def cdf(self, x: Tensor) -> Tensor:
        return self.gaussian.cdf(self._vector(x.clamp_min(0).log()))

    def survival(self, x: Tensor) -> Tensor:
        return self.gaussian.survival(self._vector(x.clamp_min(0).log()))

    def rosenblatt(self, x: Tensor) -> tuple[Tensor, Tensor]:
        z, density = self.gaussian.rosenblatt(self._vector(x.log()))
        return z, density - self._vector(x.log()).unsqueeze(-2)

    @property
    def has_rosenblatt(self) -> bool:
        return True


@dataclass(frozen=True, eq=False, repr=False)
class LogNormalFamily(StructuredFamily, LogView, of=[LogNormal]):
    """Log-normal components; the structure is that of the logarithms, `Diagonal` if none is given."""

    def arguments(self, features: int | None) -> dict[str, Argument]:
        return inside.arguments(self.structure or Diagonal(), features)

    def made(self, values: Mapping[str, Tensor], features: int | None) -> LogNormal:
        inner = inside.made(self.structure or Diagonal(), values, features)
        return LogNormal._of(inner=inner, vectors=features is not None)

    def read(self, components: Any) -> dict[str, Tensor]:
        return {"loc": components.loc, **inside.read(components)}

    def start(self, x: Tensor, r: Tensor) -> LogNormal:
        inner = starting_gaussian(self.structure or Diagonal(), x.log(), r)
        return LogNormal._of(inner=inner, vectors=x.ndim > 1)
