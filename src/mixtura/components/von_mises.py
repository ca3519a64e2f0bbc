r"""The von Mises family on angles, and the von Mises-Fisher family on directions, unit vectors in D dimensions.

.. math:: \log p(x; \mu, \kappa) = \kappa\,\mu^\top x - A, \qquad \eta = \kappa\mu, \quad T = x, \quad
    A = \tfrac D2\log 2\pi + \log I_{D/2-1}(\kappa) - (\tfrac D2 - 1)\log\kappa ;

an angle is the case D = 2, with T = (cos x, sin x). The M-step points to the mean of the rows, and the concentration
gives a mean of that length: one equation in a ratio of Bessel functions, solved by safeguarded Newton steps.
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, ClassVar

import torch
from torch import Generator, Tensor
from torch.distributions import constraints

from ..errors import refuse
from ..kernels.laws import Law
from .argument import Argument
from .binomial import beta
from .coordinates import Coordinates
from .domains import UNIT_LENGTH
from .exponential_family import ExponentialFamily, MatchedMeans
from .family import OfVectors
from .special.bessel import log_bessel, log_bessel_rest, mean_length, mean_length_inverse
from .special.von_mises_cdf import arc

__all__ = ["TURN", "VonMises", "VonMisesFisher"]


def _normaliser(features: int, concentration: Tensor) -> Tensor:
    half = features / 2
    return half * math.log(2 * math.pi) + log_bessel(half - 1, concentration) - (half - 1) * concentration.log()


def _draw_bends(concentration: Tensor, features: int, generator: Generator | None) -> Tensor:
    """Draws 1 - cos of the angle to the mean direction by rejection (Wood, 1994), in terms that small angles keep."""
    d = features - 1
    b = d / (2 * concentration + (4 * concentration.square() + d * d).sqrt())
    least, top = 2 * b / (1 + b), (4 * b / (1 + b).square()).log()
    out, left = torch.empty_like(concentration), torch.ones_like(concentration, dtype=torch.bool)
    half = torch.full_like(concentration, d / 2)
    while bool(left.any()):
        z = beta(half, half, generator)
        bend = 2 * b * z / (1 - (1 - b) * z)
        u = torch.rand(z.shape, dtype=z.dtype, device=z.device, generator=generator)
        gain = concentration * (least - bend) + d * ((least + (1 - least) * bend).log() - top)
        good = left & (gain >= u.log())
        out, left = torch.where(good, bend, out), left & ~good
    return out.clamp(0, 2)


@dataclass(frozen=True, eq=False, repr=False, init=False)
class VonMises(Coordinates, ExponentialFamily):
    r"""K von Mises distributions on angles in radians, of any turn.

    Arguments:
        loc: The mean directions :math:`\mu_k`, in radians, with shape ``(*B, K)``; ``(*B, K, D)`` for vectors.
        concentration: The concentrations :math:`\kappa_k`, in the same shape; about one over the variance where large.
        vectors: Whether rows are vectors of independent angles.

    Densities are per radian and have period :math:`2\pi`; draws lie between :math:`-\pi` and :math:`\pi`, and so do the
    angles of which there are cumulative probabilities and quantiles. As in torch,
    ``mean`` is the mean direction and ``variance`` the circular one, :math:`1 - I_1(\kappa)/I_0(\kappa)`.

    Raises:
        MixtureError: If a concentration is not positive and finite.

    Example:
        >>> north = mx.VonMises(torch.tensor([0.0, 3.0]), torch.tensor([4.0, 1.0]))
        >>> north.log_prob(torch.tensor(2 * torch.pi)), north.log_prob(torch.tensor(0.0))
        (tensor([-0.2628, -3.0638]), tensor([-0.2628, -3.0638]))
    """

    arguments: ClassVar = {"loc": constraints.real, "concentration": constraints.positive}
    domain = constraints.real
    law = Law.DIRECTION
    narrows = True
    loc: Tensor
    concentration: Tensor

    def __init__(self, loc: Tensor, concentration: Tensor | float, *, vectors: bool = False) -> None:
        self._seal(vectors, loc=loc, concentration=concentration)

    def sufficient(self, x: Tensor) -> Tensor:
        return _on_the_circle(x)

    @property
    def natural(self) -> Tensor:
        return self.concentration.unsqueeze(-1) * torch.stack([self.loc.cos(), self.loc.sin()], -1)

    @property
    def log_volume(self) -> Tensor:
        return self._sum(self.concentration.log())

    def log_normaliser(self, natural: Tensor) -> Tensor:
        return _normaliser(2, natural.norm(dim=-1))

    def base(self, x: Tensor) -> Tensor:
        return torch.zeros_like(x)

    def _density(self, x: Tensor) -> Tensor:
        if self.vectors:
            return super()._density(x)
        chord = (0.5 * (x.unsqueeze(-1) - self.loc)).sin()
        return -2 * self.concentration * chord.square() - math.log(2 * math.pi) - log_bessel_rest(0, self.concentration)

    def from_mean(self, mean: Tensor) -> VonMises:
        loc = torch.atan2(mean[..., 1], mean[..., 0])
        return self._replace(loc=loc, concentration=mean_length_inverse(2, mean.norm(dim=-1)))

    def with_natural(self, natural: Tensor) -> VonMises:
        loc = torch.atan2(natural[..., 1], natural[..., 0])
        return self._replace(loc=loc, concentration=natural.norm(dim=-1))

    @property
    def mean(self) -> Tensor:
        return self.loc

    @property
    def variance(self) -> Tensor:
        return 1 - mean_length(2, self.concentration)

    def collapsed(self, floor: Tensor) -> Tensor:
        return ~((self.concentration < _MANY) & self.loc.isfinite()).reshape(*self.batch_shape, -1).all(-1)

    def _cdf(self, x: Tensor) -> Tensor:
        start = _turned(-math.pi - self.loc)
        found = arc(start, (x + math.pi).clamp(0, 2 * math.pi), self.concentration)
        return torch.where(x >= math.pi, 1.0, found)

    def _survival(self, x: Tensor) -> Tensor:
        start = _turned(x - self.loc)
        found = arc(start, (math.pi - x).clamp(0, 2 * math.pi), self.concentration)
        return torch.where(x <= -math.pi, 1.0, found)

    @property
    def ends(self) -> tuple[Tensor, Tensor]:
        most = torch.full(self.batch_shape, math.pi, dtype=self.dtype, device=self.device)
        return -most, most

    def _draw(self, generator: Generator | None) -> Tensor:
        angle = 2 * (0.5 * _draw_bends(self.concentration, 2, generator)).sqrt().asin()
        sign = torch.rand(angle.shape, dtype=self.dtype, device=self.device, generator=generator) - 0.5
        turned = self.loc + sign.sign() * angle
        return _turned(turned)


@dataclass(frozen=True, eq=False, repr=False, init=False)
class VonMisesFisher(ExponentialFamily):
    r"""K von Mises-Fisher distributions on unit vectors in D dimensions.

    Arguments:
        loc: The mean directions :math:`\mu_k`, vectors that are divided by their length, with shape ``(*B, K, D)``.
        concentration: The concentrations :math:`\kappa_k`, with shape ``(*B, K)``.

    Densities are with respect to the area of the unit sphere.

    Raises:
        MixtureError: If a shape does not fit, a direction is zero or a concentration is not positive and finite.

    Example:
        >>> poles = mx.VonMisesFisher(torch.tensor([[0.0, 0.0, 1.0], [0.0, 0.0, -1.0]]), torch.tensor([1.0, 9.0]))
        >>> poles.log_prob(torch.tensor([0.0, 0.0, 1.0])).exp()
        tensor([1.8407e-01, 2.1815e-08])
    """

    domain = UNIT_LENGTH
    law = Law.DIRECTION
    narrows = True
    direction: Tensor
    concentration: Tensor

    def __init__(self, loc: Tensor, concentration: Tensor) -> None:
        if not isinstance(loc, Tensor) or loc.ndim < 2 or loc.shape[-1] < 2:
            refuse("loc", "directions (..., K, D) of at least two dimensions", getattr(loc, "shape", type(loc)))
        length = loc.norm(dim=-1, keepdim=True)
        if not bool(((length > 0) & length.isfinite()).all()):
            refuse("loc", "directions of positive length", length.detach().min().item())
        concentration = torch.as_tensor(concentration, dtype=loc.dtype, device=loc.device).expand(loc.shape[:-1])
        if not bool(((concentration > 0) & concentration.isfinite()).all()):
            refuse("concentration", "positive and finite", concentration.detach().min().item())
        object.__setattr__(self, "direction", loc / length)
        object.__setattr__(self, "concentration", concentration)

    def verify(self) -> None:
        super().verify()
        VonMisesFisher(self.direction, self.concentration)
        if not bool(UNIT_LENGTH.check(self.direction).all()):
            refuse("direction", "of length one", "another length")

    @property
    def loc(self) -> Tensor:
        """The mean directions, unit vectors, with shape ``(*B, K, D)``."""
        return self.direction

    @property
    def batch_shape(self) -> torch.Size:
        return self.direction.shape[:-1]

    @property
    def event_shape(self) -> torch.Size:
        return self.direction.shape[-1:]

    @property
    def parameters(self) -> int:
        return self.batch_shape[-1] * self.direction.shape[-1]

    def sufficient(self, x: Tensor) -> Tensor:
        return x

    @property
    def natural(self) -> Tensor:
        return self.concentration.unsqueeze(-1) * self.direction

    def log_normaliser(self, natural: Tensor) -> Tensor:
        return _normaliser(natural.shape[-1], natural.norm(dim=-1))

    def base(self, x: Tensor) -> Tensor:
        return torch.zeros_like(x[..., 0])

    def from_mean(self, mean: Tensor) -> VonMisesFisher:
        length = mean.norm(dim=-1)
        concentration = mean_length_inverse(mean.shape[-1], length)
        return self._replace(direction=mean / length.unsqueeze(-1), concentration=concentration)

    def with_natural(self, natural: Tensor) -> VonMisesFisher:
        concentration = natural.norm(dim=-1)
        return self._replace(direction=natural / concentration.unsqueeze(-1), concentration=concentration)

    def _inside(self) -> float:
        return 0.0

    @property
    def mean(self) -> Tensor:
        return mean_length(self.direction.shape[-1], self.concentration).unsqueeze(-1) * self.direction

    @property
    def variance(self) -> Tensor:
        return self.covariance.diagonal(dim1=-2, dim2=-1)

    @property
    def covariance(self) -> Tensor:
        features, direction = self.direction.shape[-1], self.direction
        length = mean_length(features, self.concentration)
        across = length / self.concentration
        outer = direction.unsqueeze(-1) * direction.unsqueeze(-2)
        identity = torch.eye(features, dtype=self.dtype, device=self.device)
        return across[..., None, None] * identity + (1 - features * across - length.square())[..., None, None] * outer

    def collapsed(self, floor: Tensor) -> Tensor:
        return ~((self.concentration < _MANY) & self.direction.isfinite().all(-1))

    def draw(self, labels: Tensor, generator: Generator | None = None) -> Tensor:
        chosen: Any = self.chosen(labels)
        bend = _draw_bends(chosen.concentration, self.direction.shape[-1], generator).unsqueeze(-1)
        noise = torch.randn(chosen.direction.shape, dtype=self.dtype, device=self.device, generator=generator)
        across = noise - (noise * chosen.direction).sum(-1, keepdim=True) * chosen.direction
        across = across / across.norm(dim=-1, keepdim=True)
        return (1 - bend) * chosen.direction + (bend * (2 - bend)).sqrt() * across


class VonMisesFamily(MatchedMeans, of=[VonMises]):
    """Von Mises components; starts are sought on the circle."""

    def embed(self, x: Tensor) -> Tensor:
        return _on_the_circle(x).reshape(len(x), -1)

    def arguments(self, features: int | None) -> dict[str, Argument]:
        return super().arguments(features) | {"loc": Argument(TURN, () if features is None else (features,))}


class VonMisesFisherFamily(OfVectors, MatchedMeans, of=[VonMisesFisher]):
    """Von Mises-Fisher components."""

    def arguments(self, features: int | None) -> dict[str, Argument]:
        return {"loc": Argument(UNIT_LENGTH, (features or 1,)), "concentration": Argument(constraints.positive)}

    def made(self, values: Mapping[str, Tensor], features: int | None) -> VonMisesFisher:
        return VonMisesFisher._of(direction=values["loc"], concentration=values["concentration"])

    def read(self, components: Any) -> dict[str, Tensor]:
        return {"loc": components.direction, "concentration": components.concentration}

    def neutral(self, x: Tensor, batch: tuple[int, ...]) -> VonMisesFisher:
        return VonMisesFisher(x.new_ones(*batch, *x.shape[1:]), x.new_ones(batch))


def _turned(angle: Tensor) -> Tensor:
    """Angles by whole turns to between minus pi and pi."""
    return torch.remainder(angle + math.pi, 2 * math.pi) - math.pi


def _on_the_circle(x: Tensor) -> Tensor:
    """Angles as directions in the plane."""
    return torch.stack([x.cos(), x.sin()], -1)


TURN = constraints.interval(-math.pi, math.pi)
"""Where angles may lie; those that differ by a turn are one."""
_MANY = 1e7  # a concentration from which on a component is a point
