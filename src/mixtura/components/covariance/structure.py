r"""Covariance structures: what a Gaussian's covariance may look like, and all that depends on it.

A structure stores a factor, never the matrix: with :math:`\Sigma_k = L_k L_k^\top`,

- `Full` stores the lower triangular :math:`L_k`, shape ``(*B, K, D, D)``;
- `Diagonal` stores the scales :math:`\mathrm{diag}(L_k)`, shape ``(*B, K, D)``;
- `Spherical` stores one scale :math:`\ell_k`, :math:`L_k = \ell_k I`, shape ``(*B, K)``.

A tied structure shares one factor: its K dimension has size 1 and broadcasts. A structure without a factor, such as
``mx.Full(tied=True)``, is a template: it names the shape that a fit is to learn.

The M-step matches second moments taken about the current means. With :math:`N_k`, :math:`f_k = \sum r (x-\mu_k)` and
:math:`S_k = \sum r (x-\mu_k)(x-\mu_k)^\top`, and :math:`\nu_k` the divisor (:math:`N_k` for maximum likelihood),

.. math:: \mu_k' = \mu_k + f_k / N_k, \qquad \Sigma_k' = (S_k - f_k f_k^\top / N_k) / \nu_k,

with :math:`S` reduced to its diagonal or trace, and both sums pooled over k where tied.

Sums with noise, images and multiples are structures again, the least general that hold:

| | + s² I | + diagonal | scaled | image under A |
|---|---|---|---|---|
| `Spherical` | Spherical | Diagonal | Spherical | Spherical, where A's rows are orthogonal and of one length |
| `Diagonal` | Diagonal | Diagonal | Diagonal | Diagonal, where A picks or scales coordinates |
| `LowRank` | LowRank | LowRank | LowRank | LowRank, where A picks or scales coordinates |
| `Eigen` | Eigen | Full | Eigen | Eigen, where A turns all coordinates, at one scale |
| `Full` | Full | Full | Full | Full |

and Full in all other cases, sums with full matrices among them; but Diagonal for a Spherical one where A's rows are
orthogonal and of several lengths. Leading dimensions broadcast: noise or matrices led by ``(*L, K or 1)`` give a batch.
A tied structure stays tied where the components share noise and matrix, and comes apart where they do not.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, ClassVar, Self

import torch
from torch import Tensor

from ...errors import refuse
from ...kernels import Form, Step
from .by_name import ByName
from .columns import column, distinct, own_axes
from .posterior import Gain, Measurement
from .regression import predicted
from .slopes import FactorSlopes

if TYPE_CHECKING:
    from .full import Full

__all__ = ["Structure", "lead"]


@dataclass(frozen=True, eq=False, repr=False, init=False)
class Structure(FactorSlopes, ByName, ABC):
    """A covariance structure of K components: a template when it has no factor yet.

    A new structure says its matrices (`full`), what sums imply (`with_moment`) and how many numbers are free
    (`parameters`); everything else goes through these, unless it knows something cheaper. Its tensors are all led by
    ``(*B, K or 1)``.

    Every method but `fitted` and `parameters` needs the factor. Residuals have shape ``(*S, *B, K, D)``.
    """

    factor: Tensor | None
    tied: bool
    trailing: ClassVar[int]  # dimensions of the factor behind K
    keeps_round: ClassVar[bool] = False  # whether round noise adds number by number, and no matrix is factored anew
    has_axes: ClassVar[bool] = False  # whether its own axes are at hand
    form: ClassVar[Form]  # how passes over rows take the inverse factor, and the form of second moments

    @property
    def given(self) -> Tensor:
        """The factor; an error for a template."""
        if self.factor is None:
            refuse("covariance", "a structure with values", f"the template {self!r}", "Give it a covariance.")
        return self.factor

    def verify(self) -> None:
        super().verify()
        if not bool(self.given.isfinite().all() & (self.nonnegative >= 0).all()):
            refuse("factor", "finite, with scales of at least zero", "numbers that are not")

    @property
    def nonnegative(self) -> Tensor:
        """The numbers of the factor that are no less than zero: all of them, where they are scales."""
        return self.given

    @property
    def leading(self) -> torch.Size:
        """The shape ``(*B, K)``, or ``(*B, 1)`` where tied."""
        return self.given.shape[: self.given.ndim - self.trailing]

    def whiten(self, residual: Tensor) -> Tensor:
        """Returns :math:`L^{-1}` times the residual."""
        return self.full(residual.shape[-1]).whiten(residual)

    def color(self, noise: Tensor) -> Tensor:
        """Returns :math:`L` times the noise: the inverse of `whiten`."""
        return self.full(noise.shape[-1]).color(noise)

    def half_logdet(self, features: int) -> Tensor:
        r"""Returns :math:`\tfrac12\log|\Sigma| = \log|L|`, with shape ``(*B, K or 1)``."""
        return self.full(features).half_logdet(features)

    def inverse_factor(self) -> Tensor:
        """Returns :math:`L^{-1}`, lower triangular where it is a matrix: what the fused passes take."""
        return self.full(self.width).inverse_factor()

    def inv(self) -> Structure:
        """Returns the structure of the inverse matrices."""
        return self.full(self.width).inv()

    def dense(self, features: int) -> Tensor:
        """Returns the matrices, with shape ``(*B, K or 1, D, D)``."""
        return self.full(features).dense(features)

    def variance(self, features: int) -> Tensor:
        """Returns the diagonals, with shape ``(*B, K or 1, D)``."""
        return self.full(features).variance(features)

    def scales(self, features: int) -> Tensor:
        """Returns the diagonals of :math:`L`: each coordinate's scale given those before it."""
        return self.full(features).scales(features)

    def solve(self, residual: Tensor) -> Tensor:
        r"""Returns :math:`\Sigma^{-1}` times the residual."""
        return self.full(residual.shape[-1]).solve(residual)

    def color_rows(self, index: int | Tensor, noise: Tensor) -> Tensor:
        """Returns :math:`L_z` times noise ``(n, D)`` for one flat index z of (B, K), or one index per row ``(n,)``."""
        return self.full(noise.shape[-1]).color_rows(index, noise)

    def scatter(self, moment: Tensor) -> Tensor:
        """Reduces dense second moments ``(..., D, D)`` to the form in which this structure keeps them."""
        return moment

    def dense_moment(self, moment: Tensor, features: int) -> Tensor:
        """Returns dense second moments that `scatter` reduces to these, in the structure's own form."""
        return moment

    def outer(self, vector: Tensor) -> Tensor:
        """Returns the outer square of ``(..., D)`` in the structure's own form."""
        return vector.unsqueeze(-1) * vector.unsqueeze(-2)

    @abstractmethod
    def with_moment(self, moment: Tensor, features: int) -> Self:
        """Returns the structure with covariances given in the structure's own form; NaN where not positive."""

    def with_covariance(self, covariance: Tensor) -> Self:
        """Returns the structure nearest to dense covariances ``(*B, K or 1, D, D)``, keeping `tied` as it is."""
        return self.with_moment(self.scatter(covariance), covariance.shape[-1])

    @abstractmethod
    def parameters(self, components: int, features: int) -> int:
        """Returns the number of free covariance parameters."""

    def marginal(self, dims: Sequence[int]) -> Structure:
        """Returns the structure of some coordinates."""
        return self.full(self.width).marginal(dims)

    @abstractmethod
    def full(self, features: int) -> Full:
        """Returns the same covariances as a `Full` structure."""

    @property
    def triangular(self) -> Structure:
        """The same covariances in a structure that whitens by a triangle: coordinate d by coordinates 1 to d alone."""
        return self

    def in_own_axes(self, features: int) -> tuple[Tensor, Tensor]:
        """Returns axes as columns ``(*B, K or 1, D, D)`` and the variances along them ``(*B, K or 1, D)``."""
        return own_axes(self.dense(features))

    # -- algebra: what it becomes

    def plus(self, noise: Structure) -> Structure:
        r"""Returns the covariances of x + e for independent noise e: the least general structure of the sum.

        Arguments:
            noise: A structure with values, tied where all components share it; its leading dimensions broadcast.

        A sum that is not positive definite is NaN.

        Example:
            >>> noise = mx.Diagonal(torch.tensor([2.0, 0.5]), tied=True)
            >>> mx.Spherical(torch.tensor([1.0, 4.0])).plus(noise).variance(2)
            tensor([[3.0000, 1.5000],
                    [6.0000, 4.5000]])
        """
        return noise.added_to(self)

    def added_to(self, structure: Structure) -> Structure:
        """Returns the structure plus this one, as noise."""
        return structure.plus_full(self.dense(self.width))

    def plus_spherical(self, variance: Tensor) -> Structure:
        """Returns the structure plus round noise of variances ``(*L, K or 1)``."""
        return self.full(self.width).plus_spherical(variance)

    def plus_diagonal(self, variance: Tensor) -> Structure:
        """Returns the structure plus noise along the axes, of variances ``(*L, K or 1, D)``."""
        return self.full(self.width).plus_diagonal(variance)

    def plus_full(self, covariance: Tensor) -> Full:
        """Returns the structure plus noise of covariances ``(*L, K or 1, D, D)``."""
        return self.full(covariance.shape[-1]).plus_full(covariance)

    def image(self, matrix: Tensor, noise: Structure | None = None) -> Structure:
        r"""Returns :math:`A \Sigma_k A^\top`, plus the covariances of noise if any: the law of A x + e.

        Arguments:
            matrix: A, with shape ``(*L, D', D)``, where L broadcasts against ``(*B, K)``. Its pattern of zeros and the
                angles of its rows are looked at once, on the host.
            noise: As for `plus`. Without noise A needs full row rank, else a `Full` image is NaN.

        Example:
            >>> one = mx.Diagonal(torch.tensor([[1.0, 4.0, 9.0]]))
            >>> one.image(torch.tensor([[0.0, 0.0, 2.0], [1.0, 0.0, 0.0]])).variance(2)
            tensor([[36.,  1.]])
        """
        return self.full(matrix.shape[-1]).image(matrix, noise)

    def scaled(self, scale: Tensor) -> Structure:
        """Returns the covariances of vectors times ``scale``, of shape ``(*L, K or 1)``."""
        factor = self.given * column(scale, self.trailing)
        return self._replace(factor=factor, tied=self._tied_still(factor))

    def predicted(self, mean: Tensor, known: Sequence[int], free: Sequence[int], values: Tensor) -> Tensor:
        """Returns the means of the free coordinates given values ``(*S, *B, len(known))`` of the known ones."""
        return predicted(self, mean, known, free, values)

    def singular(self, features: int) -> Tensor:
        """Returns which matrices are singular to rounding, indefinite or NaN, with shape ``(*B, K or 1)``."""
        alone, whole = self.scales(features).square(), self.variance(features)
        return ~(alone > features * torch.finfo(whole.dtype).eps * whole).all(-1)

    @property
    def width(self) -> int:
        """The number of features, where the values tell."""
        return self.given.shape[len(self.leading)]

    def _tied_still(self, factor: Tensor, trailing: int | None = None) -> bool:
        """Whether a factor made of this one and of what may differ by component still serves them all."""
        return self.tied and factor.shape[factor.ndim - 1 - (self.trailing if trailing is None else trailing)] == 1

    # -- what it is

    @property
    def name(self) -> str:
        """The plain name under which `structure` finds a template of this kind."""
        return "tied-" * self.tied + type(self).__name__.lower()

    @property
    def step(self) -> Step | None:
        """The compiled M-step on small tables, if there is one."""
        return None

    @property
    def constrained(self) -> bool:
        """Whether not every factor of the right shape is one of this structure."""
        return False

    def with_frozen(self, old: Self, free: Tensor) -> Self:
        """Returns the covariances that are free, by a mask ``(*B, K)``, and those of ``old`` elsewhere.

        Where components share parts these can only be held together, and both are then the same.
        """
        return self if self.shares else self.where(free, old)

    @property
    def unconstrained(self) -> Structure:
        """The same covariances in a structure of which every factor is one, for which conjugate priors have a law."""
        return self

    @property
    def for_draws(self) -> Structure:
        """The same covariances in a structure that colours many rows at the least cost."""
        return self.unconstrained

    def fits(self, features: int) -> bool:
        """Whether the factor serves rows of that many features."""
        return all(size == features for size in self.given.shape[len(self.leading) :])

    def distance(self, residual: Tensor) -> Tensor:
        """Returns the squared length of the whitened residual."""
        return self.whiten(residual).square().sum(-1)

    def for_densities(self) -> tuple[Form, Tensor]:
        """Returns the form and factor with which passes compute densities: the inverse factor, or something cheaper."""
        return self.form, self.inverse_factor()

    def conditional(self, known: Sequence[int], free: Sequence[int]) -> Structure:
        """Returns the structure of some coordinates given the others."""
        return self.full(self.width).conditional(known, free)

    def posterior(self, measurement: Measurement, features: int) -> tuple[Structure, Gain]:
        """Returns the covariances that a measurement leaves, and what it needs of each record to know the means.

        They are led as the measurement and these covariances are, and as little general as they can be. Nothing in them
        depends on what was recorded.

        Raises:
            MixtureError: If the law of what is recorded is singular.
        """
        return self.full(features).posterior(measurement, features)

    @property
    def distinct(self) -> Self:
        """The covariances that differ: size one along batch dimensions that only repeat one entry."""
        batch = self.given.ndim - self.trailing - 1
        return self.map(lambda tensor: distinct(tensor, batch)) if batch and self._repeats else self

    @property
    def _repeats(self) -> bool:
        """Whether entries of the batch may repeat each other: cheap to ask."""
        return not self.given.is_contiguous()

    def _take(self, axis: int, index: Any, size: int) -> Self:
        return self if self.tied else super()._take(axis, index, size)

    @property
    def elementwise(self) -> bool:
        """Whether every coordinate is on its own: no product of matrices is ever needed."""
        return self.factor is not None and self.width == 1

    @property
    def shares(self) -> bool:
        """Whether one component's update moves another's: they have the matrix, or a part of it, in common."""
        return self.tied

    def logdet(self, features: int) -> Tensor:
        r"""Returns :math:`\log|\Sigma|`, with shape ``(*B, K or 1)``."""
        return 2 * self.half_logdet(features)

    def estimate(self, weight: Tensor, shift: Tensor, scatter: Tensor, degrees: Tensor) -> Self:
        """Returns the structure that the sums imply: the M-step of the module's equations.

        Arguments:
            weight: :math:`N_k`, with shape ``(*B, K)``.
            shift: :math:`f_k`, with shape ``(*B, K, D)``.
            scatter: :math:`S_k` in the structure's own form, pooled where tied.
            degrees: The divisor, with shape ``(*B, K)``, or ``(*B, 1)`` where tied.
        """
        between = self.outer(shift / column(weight.sqrt(), 1))
        centred = scatter - self.pool(between, self.moment_trailing)
        return self.with_moment(centred / column(degrees, self.moment_trailing), shift.shape[-1])

    @property
    def moment_trailing(self) -> int:
        """How many dimensions a second moment in the structure's own form has behind K."""
        return self.trailing

    def pool(self, values: Tensor, trailing: int = 0) -> Tensor:
        """Sums ``(*B, K)``, or what has more dimensions behind K, over K where the structure is tied."""
        return values.sum(-1 - trailing, keepdim=True) if self.tied else values

    def pooled(self, moment: Tensor) -> Tensor:
        """Returns dense second moments ``(*B, K, D, D)`` in the structure's own form, summed over K where tied."""
        return self.scatter(self.pool(moment, 2))

    def share_volume(self, weight: Tensor) -> Tensor:
        """Sums ``(*B, K)`` over K where all components have one volume."""
        return self.pool(weight)

    def untied(self, components: int) -> Self:
        """Returns the same covariances, one per component."""
        leading = (*self.leading[:-1], components)
        repeated = self.map(lambda tensor: tensor.expand(*leading, *tensor.shape[len(leading) :]))
        return repeated._replace(tied=False)

    def __repr__(self) -> str:
        parts = ([f"tensor{tuple(self.factor.shape)}"] if self.factor is not None else []) + ["tied=True"] * self.tied
        return f"{type(self).__name__}({', '.join(parts)})"


def lead(values: Tensor, trailing: int, tied: bool) -> Tensor:
    """Gives a tied factor its K dimension of size one where it came without."""
    if not isinstance(values, Tensor):
        refuse("covariance", "a torch.Tensor", type(values).__name__)
    if values.ndim > trailing and (not tied or values.shape[values.ndim - trailing - 1] == 1):
        return values
    if tied:
        return values.unsqueeze(values.ndim - trailing)
    refuse("covariance", f"a tensor with a components dimension and {trailing} behind it", tuple(values.shape))
