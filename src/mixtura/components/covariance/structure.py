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
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, ClassVar, Self

import torch
from torch import Tensor

from ..._value import Value
from ...errors import refuse

__all__ = ["Structure", "column", "lead"]


@dataclass(frozen=True, eq=False, repr=False, init=False)
class Structure(Value, ABC):
    """A covariance structure of K components: a template when it has no factor yet.

    Every method but `fitted` and `parameters` needs the factor. Residuals have shape ``(*S, *B, K, D)``.
    """

    factor: Tensor | None
    tied: bool
    trailing: ClassVar[int]  # dimensions of the factor behind K
    kernel: ClassVar  # how torch's passes whiten and sum
    expect: ClassVar  # the fused pass over one block of rows, see `passes`
    log_joint: ClassVar
    log_density: ClassVar

    @property
    def given(self) -> Tensor:
        """The factor; an error for a template."""
        if self.factor is None:
            refuse("covariance", "a structure with values", f"the template {self!r}", "Give it a covariance.")
        return self.factor

    @property
    def leading(self) -> torch.Size:
        """The shape ``(*B, K)``, or ``(*B, 1)`` where tied."""
        return self.given.shape[: self.given.ndim - self.trailing]

    @abstractmethod
    def whiten(self, residual: Tensor) -> Tensor:
        """Returns :math:`L^{-1}` times the residual."""

    @abstractmethod
    def color(self, noise: Tensor) -> Tensor:
        """Returns :math:`L` times the noise: the inverse of `whiten`."""

    @abstractmethod
    def half_logdet(self, features: int) -> Tensor:
        r"""Returns :math:`\tfrac12\log|\Sigma| = \log|L|`, with shape ``(*B, K or 1)``."""

    @abstractmethod
    def inverse_factor(self) -> Tensor:
        """Returns :math:`L^{-1}` in the shape of the factor: what the fused passes take."""

    @abstractmethod
    def inv(self) -> Structure:
        """Returns the structure of the inverse matrices."""

    @abstractmethod
    def dense(self, features: int) -> Tensor:
        """Returns the matrices, with shape ``(*B, K or 1, D, D)``."""

    @abstractmethod
    def variance(self, features: int) -> Tensor:
        """Returns the diagonals, with shape ``(*B, K or 1, D)``."""

    @abstractmethod
    def scales(self, features: int) -> Tensor:
        """Returns the diagonals of :math:`L`: each coordinate's scale given those before it."""

    @abstractmethod
    def solve(self, residual: Tensor) -> Tensor:
        r"""Returns :math:`\Sigma^{-1}` times the residual."""

    @abstractmethod
    def color_rows(self, index: int | Tensor, noise: Tensor) -> Tensor:
        """Returns :math:`L_z` times noise ``(n, D)`` for one flat index z of (B, K), or one index per row ``(n,)``."""

    @abstractmethod
    def scatter(self, moment: Tensor) -> Tensor:
        """Reduces dense second moments ``(..., D, D)`` to the form in which this structure keeps them."""

    @abstractmethod
    def outer(self, vector: Tensor) -> Tensor:
        """Returns the outer square of ``(..., D)`` in the structure's own form."""

    @abstractmethod
    def with_moment(self, moment: Tensor, features: int) -> Self:
        """Returns the structure with covariances given in the structure's own form; NaN where not positive."""

    @abstractmethod
    def with_covariance(self, covariance: Tensor) -> Self:
        """Returns the structure nearest to dense covariances ``(*B, K or 1, D, D)``, keeping `tied` as it is."""

    @abstractmethod
    def parameters(self, components: int, features: int) -> int:
        """Returns the number of free covariance parameters."""

    @abstractmethod
    def marginal(self, dims: Sequence[int]) -> Structure:
        """Returns the structure of some coordinates."""

    @property
    def name(self) -> str:
        """The plain name under which `structure` finds a template of this kind."""
        return "tied-" * self.tied + type(self).__name__.lower()

    @property
    def constrained(self) -> bool:
        """Whether not every factor of the right shape is one of this structure."""
        return False

    @property
    def shares(self) -> bool:
        """Whether the update of one component's covariance moves another's."""
        return self.tied

    def with_frozen(self, old: Self, free: Tensor) -> Self:
        """Returns the covariances that are free, by a mask ``(*B, K)``, and those of ``old`` elsewhere.

        Where components share parts these can only be held together, and both are then the same.
        """
        return self if self.shares else self.where(free, old)

    @property
    def unconstrained(self) -> Structure:
        """The same covariances in a structure of which every factor is one, for which conjugate priors have a law."""
        return self

    def fits(self, features: int) -> bool:
        """Whether the factor serves rows of that many features."""
        return all(size == features for size in self.given.shape[len(self.leading) :])

    def distance(self, residual: Tensor) -> Tensor:
        """Returns the squared length of the whitened residual."""
        return self.whiten(residual).square().sum(-1)

    def density_factor(self) -> Tensor:
        """Returns what `log_joint` and `log_density` take: the inverse factor, unless they know something cheaper."""
        return self.inverse_factor()

    def conditional(self, known: Sequence[int], free: Sequence[int]) -> Structure:
        """Returns the structure of some coordinates given the others; where these are independent, the marginal."""
        return self.marginal(free)

    def _take(self, axis: int, index: Any, size: int) -> Self:
        return self if self.tied else super()._take(axis, index, size)

    @property
    def elementwise(self) -> bool:
        """Whether to colour is to multiply number by number, with no product of matrices."""
        return False

    def attraction(self, x: Tensor, mean: Tensor, r: Tensor) -> Tensor:
        r"""Returns :math:`\sum_k r_{nk} \Sigma_k^{-1} (\mu_k - x_n)` for rows ``(N, D)``, without gradients."""
        pulls = (self._take(0, [k], len(mean)).solve(mean[[k]] - x.unsqueeze(1)).squeeze(1) for k in range(len(mean)))
        return sum((r[:, k, None] * pull for k, pull in enumerate(pulls)), torch.zeros_like(x))

    def factor_gradient(self, weight: Tensor, scatter: Tensor, features: int) -> Tensor:
        r"""Returns the gradient in the factor of :math:`\sum r \log N(x; \mu, \Sigma)`, from sums pooled where tied."""
        raise NotImplementedError

    @property
    def has_factor_gradient(self) -> bool:
        """Whether `factor_gradient` is there; without it, log-densities are differentiated by their expression."""
        return type(self).factor_gradient is not Structure.factor_gradient

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
        centred = scatter - (between.sum(shift.ndim - 2, keepdim=True) if self.tied else between)
        return self.with_moment(centred / column(degrees, self.trailing), shift.shape[-1])

    def pool(self, weight: Tensor) -> Tensor:
        """Sums ``(*B, K)`` over K where the structure is tied."""
        return weight.sum(-1, keepdim=True) if self.tied else weight

    def share_volume(self, weight: Tensor) -> Tensor:
        """Sums ``(*B, K)`` over K where all components have one volume."""
        return self.pool(weight)

    def scaled(self, scale: Tensor) -> Self:
        """Returns the covariances of vectors times ``scale``, of shape ``(*B, K or 1)``."""
        return self._replace(factor=self.given * column(scale, self.trailing))

    def untied(self, components: int) -> Self:
        """Returns the same covariances, one per component."""
        position = self.given.ndim - self.trailing - 1
        shape = [-1] * self.given.ndim
        shape[position] = components
        return self._replace(factor=self.given.expand(shape), tied=False)

    def __repr__(self) -> str:
        parts = ([f"tensor{tuple(self.factor.shape)}"] if self.factor is not None else []) + ["tied=True"] * self.tied
        return f"{type(self).__name__}({', '.join(parts)})"


def column(tensor: Tensor, dims: int) -> Tensor:
    """Returns the tensor with so many dimensions of size one behind it."""
    return tensor.reshape(tensor.shape + (1,) * dims)


def lead(values: Tensor, trailing: int, tied: bool) -> Tensor:
    """Gives a tied factor its K dimension of size one where it came without."""
    if not isinstance(values, Tensor):
        refuse("covariance", "a torch.Tensor", type(values).__name__)
    if values.ndim > trailing and (not tied or values.shape[values.ndim - trailing - 1] == 1):
        return values
    if tied:
        return values.unsqueeze(values.ndim - trailing)
    refuse("covariance", f"a tensor with a components dimension and {trailing} behind it", tuple(values.shape))
