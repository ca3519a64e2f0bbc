r"""The gamma family and its reciprocal, the inverse gamma.

.. math:: \log p(x; a, b) = a\log b - \log\Gamma(a) + (a - 1)\log x - b x, \qquad
    \eta = (-b, a - 1), \quad T = (x, \log x), \quad A = \log\Gamma(a) - a\log b,

and 1/x of an inverse gamma variable has the same law. The M-step takes the mean and the mean logarithm; the shape is
the root of one equation (`gamma_shape`), the rate is the shape over the mean. The conjugate prior is two pseudo-sums;
its normaliser has no closed form, so it serves MAP."""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar

import torch
from torch import Generator, Tensor
from torch.distributions import constraints

from ..kernels.laws import Law
from .coordinates import Coordinates
from .domains import representable
from .exponential_family import ExponentialFamily, MatchedMeans
from .family import LogView
from .special.gamma_cdf import gamma_above, gamma_below
from .special.gamma_draws import gamma
from .special.gamma_shape import gamma_shape
from .special.log_terms import log_gamma_power

__all__ = ["Gamma", "InverseGamma"]


_POINT = 1e10  # a shape from which on rounding of the normaliser is above any tolerance, and the law a point


def _normaliser(shape: Tensor, rate: Tensor) -> Tensor:
    return torch.lgamma(shape) - shape * rate.log()


@dataclass(frozen=True, eq=False, repr=False, init=False)
class Gamma(Coordinates, ExponentialFamily):
    r"""K gamma distributions on positive numbers.

    Arguments:
        concentration: The shapes :math:`a_k`, with shape ``(*B, K)``; ``(*B, K, D)`` for vectors.
        rate: The rates :math:`b_k`, in the same shape; the mean is a/b.
        vectors: Whether rows are vectors with independent coordinates.

    Raises:
        MixtureError: If a parameter is not positive and finite.

    Example:
        >>> mx.Gamma(torch.tensor([1.0, 4.0]), torch.tensor([1.0, 2.0])).variance
        tensor([1., 1.])
    """

    arguments: ClassVar = {"concentration": constraints.positive, "rate": constraints.positive}
    domain = constraints.positive
    law = Law.GAMMA
    narrows = True
    concentration: Tensor
    rate: Tensor

    def __init__(self, concentration: Tensor, rate: Tensor | float, *, vectors: bool = False) -> None:
        self._seal(vectors, concentration=concentration, rate=rate)

    def sufficient(self, x: Tensor) -> Tensor:
        return torch.stack([x, x.log()], -1)

    @property
    def natural(self) -> Tensor:
        return torch.stack([-self.rate, self.concentration - 1], -1)

    def log_normaliser(self, natural: Tensor) -> Tensor:
        return _normaliser(natural[..., 1] + 1, -natural[..., 0])

    def _density(self, x: Tensor) -> Tensor:
        if self.vectors:
            return super()._density(x)
        return log_gamma_power(self.concentration, self.rate * x.unsqueeze(-1)) - x.log().unsqueeze(-1)

    def base(self, x: Tensor) -> Tensor:
        return torch.zeros_like(x)

    def from_mean(self, mean: Tensor) -> Gamma:
        average, logarithm = mean.unbind(-1)
        shape = gamma_shape(average.log() - logarithm)
        return self._replace(concentration=shape, rate=shape / average)

    def with_natural(self, natural: Tensor) -> Gamma:
        return self._replace(concentration=natural[..., 1] + 1, rate=-natural[..., 0])

    @property
    def mean(self) -> Tensor:
        return self.concentration / self.rate

    @property
    def variance(self) -> Tensor:
        return self.concentration / self.rate.square()

    def collapsed(self, floor: Tensor) -> Tensor:
        """Tells which components are narrower than the floor, or so narrow for their size that they are a point."""
        point = ~(self.concentration < _POINT)
        return super().collapsed(floor) | point.reshape(*self.batch_shape, -1).any(-1)

    def _cdf(self, x: Tensor) -> Tensor:
        return gamma_below(self.concentration, self.rate * x.clamp_min(0))

    def _survival(self, x: Tensor) -> Tensor:
        return gamma_above(self.concentration, self.rate * x.clamp_min(0))

    def _draw(self, generator: Generator | None) -> Tensor:
        return representable(gamma(self.concentration, generator) / self.rate)


@dataclass(frozen=True, eq=False, repr=False, init=False)
class InverseGamma(Coordinates, ExponentialFamily):
    r"""K inverse gamma distributions on positive numbers: 1/x is gamma.

    Arguments:
        concentration: The shapes :math:`a_k`, with shape ``(*B, K)``; ``(*B, K, D)`` for vectors.
        rate: The rates :math:`b_k` of 1/x, which scale x itself; the mean is b/(a - 1), infinite for a at most 1.
        vectors: Whether rows are vectors with independent coordinates.

    Raises:
        MixtureError: If a parameter is not positive and finite.

    Example:
        >>> mx.InverseGamma(torch.tensor([3.0, 0.5]), torch.tensor([4.0, 2.0])).mean
        tensor([2., inf])
    """

    arguments: ClassVar = {"concentration": constraints.positive, "rate": constraints.positive}
    domain = constraints.positive
    law = Law.INVERSE_GAMMA
    narrows = True
    concentration: Tensor
    rate: Tensor

    def __init__(self, concentration: Tensor, rate: Tensor | float, *, vectors: bool = False) -> None:
        self._seal(vectors, concentration=concentration, rate=rate)

    def sufficient(self, x: Tensor) -> Tensor:
        return torch.stack([1 / x, x.log()], -1)

    @property
    def natural(self) -> Tensor:
        return torch.stack([-self.rate, -self.concentration - 1], -1)

    def log_normaliser(self, natural: Tensor) -> Tensor:
        return _normaliser(-natural[..., 1] - 1, -natural[..., 0])

    def _density(self, x: Tensor) -> Tensor:
        if self.vectors:
            return super()._density(x)
        return log_gamma_power(self.concentration, self.rate / x.unsqueeze(-1)) - x.log().unsqueeze(-1)

    def base(self, x: Tensor) -> Tensor:
        return torch.zeros_like(x)

    def from_mean(self, mean: Tensor) -> InverseGamma:
        average, logarithm = mean.unbind(-1)
        shape = gamma_shape(average.log() + logarithm)
        return self._replace(concentration=shape, rate=shape / average)

    def with_natural(self, natural: Tensor) -> InverseGamma:
        return self._replace(concentration=-natural[..., 1] - 1, rate=-natural[..., 0])

    @property
    def mean(self) -> Tensor:
        return (self.rate / (self.concentration - 1)).where(self.concentration > 1, torch.inf)

    @property
    def variance(self) -> Tensor:
        finite = self.rate.square() / ((self.concentration - 1).square() * (self.concentration - 2))
        return finite.where(self.concentration > 2, torch.inf)

    def collapsed(self, floor: Tensor) -> Tensor:
        """Tells which components are narrower than the floor, by the squared scale of their mode."""
        width = (self.rate / (self.concentration + 1)).square() / self.concentration
        narrow = ~((width >= floor) & (self.concentration < _POINT))
        return narrow.reshape(*self.batch_shape, -1).any(-1)

    def _cdf(self, x: Tensor) -> Tensor:
        return gamma_above(self.concentration, self.rate / x.clamp_min(0))

    def _survival(self, x: Tensor) -> Tensor:
        return gamma_below(self.concentration, self.rate / x.clamp_min(0))

    def _draw(self, generator: Generator | None) -> Tensor:
        return representable(self.rate / gamma(self.concentration, generator))


class GammaFamily(LogView, MatchedMeans, of=[Gamma, InverseGamma]):
    """Gamma and inverse gamma components."""
