r"""The normal family on numbers, :math:`N(\mu_k, s_k^2)`: a Gaussian of one feature without its vector dimension.

.. math:: \log N(x; \mu_k, s_k^2) = -\frac{(x-\mu_k)^2}{2 s_k^2} - \log s_k - \tfrac12\log 2\pi .
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import Any, Self

from torch import Generator, Tensor

from ..errors import refuse
from ..kernels import Step
from . import gaussian_inside as inside
from .argument import Argument
from .base import Component, Labels
from .covariance.diagonal import Diagonal
from .covariance.full import Full
from .family import Family, StructuredFamily
from .gaussian import Gaussian
from .gaussian_inside import GaussianInside, gaussian_of_numbers, starting_gaussian
from .statistics import Statistics

__all__ = ["GaussianFamily", "Normal", "of_rows"]


@dataclass(frozen=True, eq=False, repr=False, init=False)
class Normal(GaussianInside):
    r"""K normal distributions on numbers.

    Arguments:
        loc: The means :math:`\mu_k`, with shape ``(*B, K)``.
        scale: The standard deviations :math:`s_k`, with shape ``(*B, K)``, or a number shared by all.
        validate_args: Whether to check that means are finite and scales positive; shapes always are. Without it nothing
            waits for the device.

    Raises:
        MixtureError: If a shape does not fit or a scale is not positive and finite.

    Example:
        >>> mx.Normal(torch.tensor([0.0, 2.0]), torch.tensor([1.0, 0.5])).log_prob(torch.tensor(0.0))
        tensor([-0.9189, -8.2258])
    """

    vectors: bool = False

    def __init__(self, loc: Tensor, scale: Tensor | float, *, validate_args: bool = True) -> None:
        object.__setattr__(self, "inner", gaussian_of_numbers(loc, scale, validate_args))

    @classmethod
    def of(cls, gaussian: Gaussian) -> Normal:
        """Drops the vector dimension of Gaussians of one feature."""
        if gaussian.features != 1:
            refuse("gaussian", "of one feature", f"{gaussian.features} features")
        return cls._of(inner=gaussian)

    def with_gaussian(self, gaussian: Gaussian) -> Any:
        """Returns the law of numbers for Gaussians of one feature; of several, these are the law of vectors."""
        return self._of(inner=gaussian) if gaussian.features == 1 else gaussian

    @property
    def gaussian_image(self) -> bool:
        return True

    @property
    def is_gaussian(self) -> bool:
        return True

    @property
    def scale(self) -> Tensor:
        """The standard deviations, with shape ``(*B, K)``."""
        scales = self.gaussian.structure.scales(1).squeeze(-1)
        return scales.expand(self.batch_shape)

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

    def sums_units(self, statistics: Statistics) -> tuple[Tensor, ...]:
        return self.gaussian.sums_units(statistics)

    def restated(self, statistics: Statistics, old: Self) -> Statistics:
        return self.gaussian.restated(statistics, old.gaussian)

    def update(self, statistics: Statistics, prior: Any = None) -> Self:
        return self._of(inner=self.gaussian.update(statistics, prior))

    def collapsed(self, floor: Tensor) -> Tensor:
        return self.gaussian.collapsed(floor.unsqueeze(-1))

    def affine(self, matrix: Tensor, offset: Tensor | None) -> Normal:
        """Returns the law of ``matrix * x + offset`` for a number ``matrix``."""
        return self._image(matrix, offset)

    def convolve(self, covariance: Tensor) -> Normal:
        """Returns the law of x plus independent noise of this variance, or of variances ``(*B, K)``."""
        variance = self._number(covariance)
        return Normal.of(self.gaussian.convolve(variance if variance.ndim == 0 else variance[..., None, None]))

    def product(self, other: Component) -> tuple[Normal, Tensor]:
        if not other.is_gaussian or other.event_shape:
            refuse("other", "a mixture of Normals", type(other).__name__)
        pairs, log_mass = self.gaussian.product(other.gaussian)
        return Normal.of(pairs), log_mass

    def cdf(self, x: Tensor) -> Tensor:
        return self.gaussian.cdf(x.unsqueeze(-1))

    def survival(self, x: Tensor) -> Tensor:
        return self.gaussian.survival(x.unsqueeze(-1))

    def rosenblatt(self, x: Tensor) -> tuple[Tensor, Tensor]:
        return self.gaussian.rosenblatt(x.unsqueeze(-1))

    @property
    def has_rosenblatt(self) -> bool:
        return True


@dataclass(frozen=True, eq=False, repr=False)
class GaussianFamily(StructuredFamily, of=[Gaussian, Normal]):
    """Gaussians of a covariance structure: on vectors, or on numbers where rows are numbers."""

    @property
    def name(self) -> str:
        """The name of the covariance structure."""
        return self.kind.__name__ if self.structure is None else self.structure.name

    @property
    def step(self) -> Step | None:
        return None if self.structure is None else self.structure.step

    def across(self, columns: int) -> Family:
        if self.kind is Gaussian or columns == 1:
            return self
        tied = self.structure is not None and self.structure.tied
        return replace(self, kind=Gaussian, structure=Diagonal(tied=tied))

    def arguments(self, features: int | None) -> dict[str, Argument]:
        return inside.arguments(self.structure or Full(), features, _centre(features))

    def made(self, values: Mapping[str, Tensor], features: int | None) -> Gaussian | Normal:
        gaussian = inside.made(self.structure or Full(), values, features, _centre(features))
        return of_rows(gaussian, features is not None)

    def read(self, components: Any) -> dict[str, Tensor]:
        centre = "mean" if components.event_shape else "loc"
        return {centre: components.mean, **inside.read(components)}

    def start(self, x: Tensor, r: Tensor) -> Gaussian | Normal:
        """Returns Gaussians at the centres of the responsibilities, with one shared starting covariance."""
        return of_rows(starting_gaussian(self.structure or Full(), x, r), x.ndim > 1)


def _centre(features: int | None) -> str:
    """What the mean is called: a normal law on numbers has a loc."""
    return "loc" if features is None else "mean"


def of_rows(gaussian: Gaussian, vectors: bool) -> Gaussian | Normal:
    """Returns Gaussians as the law of rows: on vectors themselves, on numbers without the axis."""
    return gaussian if vectors else Normal.of(gaussian)
