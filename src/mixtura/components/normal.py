r"""The normal family on numbers, :math:`N(\mu_k, s_k^2)`: a Gaussian of one feature without its vector dimension.

.. math:: \log N(x; \mu_k, s_k^2) = -\frac{(x-\mu_k)^2}{2 s_k^2} - \log s_k - \tfrac12\log 2\pi .
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, Self

import torch
from torch import Generator, Tensor

from ..errors import refuse
from .base import Component, Labels
from .covariance.spherical import Spherical
from .gaussian import Gaussian
from .statistics import Statistics

__all__ = ["Normal"]


@dataclass(frozen=True, eq=False, repr=False, init=False)
class Normal(Component):
    r"""K normal distributions on numbers.

    Arguments:
        loc: The means :math:`\mu_k`, with shape ``(*B, K)``.
        scale: The standard deviations :math:`s_k`, with shape ``(*B, K)``, or a number shared by all.

    Raises:
        MixtureError: If a shape does not fit or a scale is not positive and finite.

    Example:
        >>> mx.Normal(torch.tensor([0.0, 2.0]), torch.tensor([1.0, 0.5])).log_prob(torch.tensor(0.0))
        tensor([-0.9189, -8.2258])
    """

    gaussian: Gaussian

    def __init__(self, loc: Tensor, scale: Tensor | float) -> None:
        if not isinstance(loc, Tensor) or loc.ndim < 1 or not loc.is_floating_point():
            refuse("loc", "a floating point tensor (..., K)", getattr(loc, "shape", type(loc).__name__))
        scale = torch.as_tensor(scale, dtype=loc.dtype, device=loc.device)
        if not bool(((scale > 0) & scale.isfinite()).all()):
            refuse("scale", "positive and finite (a standard deviation)", scale.detach().min().item())
        shape = torch.broadcast_shapes(loc.shape, scale.shape)
        structure = Spherical._of(factor=scale.expand(shape), tied=False)
        object.__setattr__(self, "gaussian", Gaussian(loc.expand(shape).unsqueeze(-1), structure))

    @classmethod
    def of(cls, gaussian: Gaussian) -> Normal:
        """Drops the vector dimension of Gaussians of one feature."""
        if gaussian.features != 1:
            refuse("gaussian", "of one feature", f"{gaussian.features} features")
        return cls._of(gaussian=gaussian)

    @property
    def loc(self) -> Tensor:
        """The means, with shape ``(*B, K)``."""
        return self.gaussian.location.squeeze(-1)

    @property
    def scale(self) -> Tensor:
        """The standard deviations, with shape ``(*B, K)``."""
        scales = self.gaussian.structure.scales(1).squeeze(-1)
        return scales.expand(self.batch_shape)

    @property
    def batch_shape(self) -> torch.Size:
        return self.gaussian.batch_shape

    @property
    def event_shape(self) -> torch.Size:
        return torch.Size()

    @property
    def parameters(self) -> int:
        return self.gaussian.parameters

    @property
    def mean(self) -> Tensor:
        return self.loc

    @property
    def variance(self) -> Tensor:
        return self.scale.square()

    def log_prob(self, x: Tensor) -> Tensor:
        return self.gaussian.log_prob(x.unsqueeze(-1))

    def mixture_log_prob(self, logits: Tensor, x: Tensor) -> Tensor:
        return self.gaussian.mixture_log_prob(logits, x.unsqueeze(-1))

    def mixture_score(self, logits: Tensor, x: Tensor) -> Tensor:
        return self.gaussian.mixture_score(logits, x.unsqueeze(-1)).squeeze(-1)

    def draw(self, labels: Tensor, generator: Generator | None = None) -> Tensor:
        return self.gaussian.draw(labels, generator).squeeze(-1)

    def expect(self, logits: Tensor, x: Tensor, weight: Tensor | None, labels: Labels) -> Statistics:
        return self.gaussian.expect(logits, x.unsqueeze(-1), weight, labels)

    def statistics(self, x: Tensor, r: Tensor) -> tuple[Tensor, Tensor]:
        """Returns the sums of :math:`x - \\mu_k` and of its square."""
        return self.gaussian.statistics(x.unsqueeze(-1), r)

    def restated(self, statistics: Statistics, old: Self) -> Statistics:
        return self.gaussian.restated(statistics, old.gaussian)

    def update(self, statistics: Statistics, prior: Any = None) -> Self:
        return self._of(gaussian=self.gaussian.update(statistics, prior))

    def start(self, x: Tensor, r: Tensor) -> Self:
        blank = self.gaussian or Gaussian._of(location=None, structure=Spherical())
        return self._of(gaussian=blank.start(x.unsqueeze(-1), r))

    def collapsed(self, floor: Tensor) -> Tensor:
        return self.gaussian.collapsed(floor.unsqueeze(-1))

    def affine(self, matrix: Tensor, offset: Tensor | None) -> Normal:
        """Returns the law of ``matrix * x + offset`` for a number ``matrix``."""
        shift = None if offset is None else self._number(offset).unsqueeze(-1)
        return Normal.of(self.gaussian.affine(self._number(matrix)[..., None, None], shift))

    def convolve(self, covariance: Tensor) -> Normal:
        """Returns the law of x plus independent noise of this variance."""
        return Normal.of(self.gaussian.convolve(self._number(covariance)[..., None, None]))

    def _number(self, value: Tensor | float) -> Tensor:
        return torch.as_tensor(value, dtype=self.dtype, device=self.device)

    def product(self, other: Component) -> tuple[Normal, Tensor]:
        if not isinstance(other, Normal):
            refuse("other", "a mixture of Normals", type(other).__name__)
        pairs, log_mass = self.gaussian.product(other.gaussian)
        return Normal.of(pairs), log_mass

    def cdf(self, x: Tensor) -> Tensor:
        return self.gaussian.cdf(x.unsqueeze(-1))

    def rosenblatt(self, x: Tensor) -> tuple[Tensor, Tensor]:
        return self.gaussian.rosenblatt(x.unsqueeze(-1))

    @property
    def has_rosenblatt(self) -> bool:
        return True
