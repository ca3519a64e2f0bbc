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
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any, ClassVar, Self

import torch
from torch import Tensor

from .._value import Value
from ..errors import MixtureError, refuse
from . import passes

__all__ = ["Diagonal", "Full", "Spherical", "Structure"]

_CACHED = 2**16  # numbers of a block that stay in the cache


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
        between = self.outer(shift / _column(weight.sqrt(), 1))
        centred = scatter - (between.sum(shift.ndim - 2, keepdim=True) if self.tied else between)
        return self.with_moment(centred / _column(degrees, self.trailing), shift.shape[-1])

    def pool(self, weight: Tensor) -> Tensor:
        """Sums ``(*B, K)`` over K where the structure is tied."""
        return weight.sum(-1, keepdim=True) if self.tied else weight

    def share_volume(self, weight: Tensor) -> Tensor:
        """Sums ``(*B, K)`` over K where all components have one volume."""
        return self.pool(weight)

    def scaled(self, scale: Tensor) -> Self:
        """Returns the covariances of vectors times ``scale``, of shape ``(*B, K or 1)``."""
        return self._replace(factor=self.given * _column(scale, self.trailing))

    def untied(self, components: int) -> Self:
        """Returns the same covariances, one per component."""
        position = self.given.ndim - self.trailing - 1
        shape = [-1] * self.given.ndim
        shape[position] = components
        return self._replace(factor=self.given.expand(shape), tied=False)

    def __repr__(self) -> str:
        parts = ([f"tensor{tuple(self.factor.shape)}"] if self.factor is not None else []) + ["tied=True"] * self.tied
        return f"{type(self).__name__}({', '.join(parts)})"


class Full(Structure):
    r"""Covariances of any volume, shape and orientation: :math:`\Sigma_k = L_k L_k^\top`.

    Arguments:
        covariance: Symmetric positive definite matrices, with shape ``(*B, K, D, D)``, or ``(D, D)`` where tied; none
            for a template.
        tied: Whether the components share one matrix.

    Raises:
        MixtureError: If a matrix is not symmetric, not finite or not positive definite; the message names it.

    Example:
        >>> mx.Full(torch.eye(2).expand(3, 2, 2)).logdet(2)
        tensor([0., 0., 0.])
        >>> mx.Full(tied=True)
        Full(tied=True)
    """

    trailing = 2
    kernel = passes.torch_pass.Full
    expect = staticmethod(passes.full_pass)
    log_joint = staticmethod(passes.full_log_joint)
    log_density = staticmethod(passes.full_log_density)

    def __init__(self, covariance: Tensor | None = None, *, tied: bool = False) -> None:
        factor = None if covariance is None else _checked_cholesky(_lead(covariance, 2, tied))
        object.__setattr__(self, "factor", factor)
        object.__setattr__(self, "tied", tied)

    @classmethod
    def from_scale_tril(cls, scale_tril: Tensor, *, tied: bool = False) -> Full:
        """Builds the structure from lower triangular Cholesky factors with a positive diagonal."""
        if not bool((scale_tril.detach().diagonal(dim1=-2, dim2=-1) > 0).all()):
            refuse("scale_tril", "lower triangular with a positive diagonal", "a diagonal entry that is not positive")
        return cls._of(factor=_lead(scale_tril.tril(), 2, tied), tied=tied)

    def whiten(self, residual: Tensor) -> Tensor:
        solve = torch.linalg.solve_triangular
        return _by_columns(lambda columns: solve(self.given, columns, upper=False), residual, self.given.ndim - 1)

    def color(self, noise: Tensor) -> Tensor:
        return _by_columns(lambda columns: self.given @ columns, noise, self.given.ndim - 1)

    def half_logdet(self, features: int) -> Tensor:
        return self.scales(features).log().sum(-1)

    def inverse_factor(self) -> Tensor:
        identity = torch.eye(self.given.shape[-1], dtype=self.given.dtype, device=self.given.device)
        return torch.linalg.solve_triangular(self.given, identity, upper=False)

    def solve(self, residual: Tensor) -> Tensor:
        return _by_columns(lambda columns: torch.cholesky_solve(columns, self.given), residual, self.given.ndim - 1)

    def inv(self) -> Full:
        return self._replace(factor=torch.linalg.cholesky(torch.cholesky_inverse(self.given)))

    def dense(self, features: int) -> Tensor:
        return self.given @ self.given.mT

    def variance(self, features: int) -> Tensor:
        return self.given.square().sum(-1)

    def scales(self, features: int) -> Tensor:
        return self.given.diagonal(dim1=-2, dim2=-1)

    def color_rows(self, index: int | Tensor, noise: Tensor) -> Tensor:
        factor = self.given.reshape(-1, *self.given.shape[-2:])[index]
        return noise @ factor.mT if factor.ndim == 2 else torch.bmm(factor, noise.unsqueeze(-1)).squeeze(-1)

    def attraction(self, x: Tensor, mean: Tensor, r: Tensor) -> Tensor:
        centre = mean.mean(0)
        if self.tied:
            return torch.cholesky_solve((r @ (mean - centre) - (x - centre)).mT, self.given[0]).mT
        precision = torch.cholesky_inverse(self.given)
        offset, flat = (precision @ (mean - centre).unsqueeze(-1)).flatten(0, 1), precision.flatten(0, 1)
        out, height = torch.empty_like(x), max(256, _CACHED // mean.numel())
        for rows, believed, pull in zip(x.split(height), r.split(height), out.split(height), strict=True):
            each = torch.addmm(offset, flat, (rows - centre).mT, alpha=-1).view(*mean.shape, -1)  # (K, D, n)
            pull.copy_(each.mul_(believed.mT.unsqueeze(1)).sum(0).mT)
        return out

    def factor_gradient(self, weight: Tensor, scatter: Tensor, features: int) -> Tensor:
        inverse = self.inverse_factor()
        excess = inverse @ scatter @ inverse.mT - weight[..., None, None] * torch.eye(features).to(weight)
        return (inverse.mT @ excess).tril()

    def scatter(self, moment: Tensor) -> Tensor:
        return moment

    def outer(self, vector: Tensor) -> Tensor:
        return vector.unsqueeze(-1) * vector.unsqueeze(-2)

    def with_moment(self, moment: Tensor, features: int) -> Self:
        factor, info = torch.linalg.cholesky_ex(moment)
        return self._replace(factor=factor.masked_fill((info > 0)[..., None, None], torch.nan))

    def with_covariance(self, covariance: Tensor) -> Self:
        return self.with_moment(covariance, covariance.shape[-1])

    def parameters(self, components: int, features: int) -> int:
        return (1 if self.tied else components) * features * (features + 1) // 2

    def marginal(self, dims: Sequence[int]) -> Full:
        rows = self.given[..., list(dims), :]
        return self._replace(factor=torch.linalg.cholesky(rows @ rows.mT))

    def conditional(self, known: Sequence[int], free: Sequence[int]) -> Full:
        """The corner of the Cholesky factor of the coordinates ordered known first."""
        factor = self.marginal([*known, *free]).given
        return self._replace(factor=factor[..., len(known) :, len(known) :])


class Diagonal(Structure):
    r"""Axis-aligned covariances: :math:`\Sigma_k = \mathrm{diag}(v_k)`.

    Arguments:
        variance: Positive variances, with shape ``(*B, K, D)``, or ``(D,)`` where tied; none for a template.
        tied: Whether the components share one diagonal.

    Raises:
        MixtureError: If a variance is not positive and finite.

    Example:
        >>> mx.Diagonal(torch.tensor([[1.0, 4.0]])).scales(2)
        tensor([[1., 2.]])
    """

    trailing = 1
    kernel = passes.torch_pass.Diagonal
    expect = staticmethod(passes.diagonal_pass)
    log_joint = staticmethod(passes.diagonal_log_joint)
    log_density = staticmethod(passes.diagonal_log_density)

    def __init__(self, variance: Tensor | None = None, *, tied: bool = False) -> None:
        factor = None if variance is None else _checked_variance(_lead(variance, 1, tied)).sqrt()
        object.__setattr__(self, "factor", factor)
        object.__setattr__(self, "tied", tied)

    def whiten(self, residual: Tensor) -> Tensor:
        return residual / self.given

    def color(self, noise: Tensor) -> Tensor:
        return noise * self.given

    def half_logdet(self, features: int) -> Tensor:
        return self.given.log().sum(-1)

    def inverse_factor(self) -> Tensor:
        return self.given.reciprocal()

    def solve(self, residual: Tensor) -> Tensor:
        return residual / self.given.square()

    def inv(self) -> Diagonal:
        return self._replace(factor=self.given.reciprocal())

    def dense(self, features: int) -> Tensor:
        return torch.diag_embed(self.given.square())

    def variance(self, features: int) -> Tensor:
        return self.given.square()

    def scales(self, features: int) -> Tensor:
        return self.given

    @property
    def elementwise(self) -> bool:
        return True

    def color_rows(self, index: int | Tensor, noise: Tensor) -> Tensor:
        return _select(self.given.reshape(-1, self.given.shape[-1]), index) * noise

    def attraction(self, x: Tensor, mean: Tensor, r: Tensor) -> Tensor:
        return _axis_attraction(self.given.square().reciprocal(), x, mean, r)

    def factor_gradient(self, weight: Tensor, scatter: Tensor, features: int) -> Tensor:
        return (scatter / self.given.square() - weight.unsqueeze(-1)) / self.given

    def scatter(self, moment: Tensor) -> Tensor:
        return moment.diagonal(dim1=-2, dim2=-1)

    def outer(self, vector: Tensor) -> Tensor:
        return vector.square()

    def with_moment(self, moment: Tensor, features: int) -> Self:
        return self._replace(factor=moment.sqrt())  # the root of a negative sum is NaN: collapsed, and seen as such

    def with_covariance(self, covariance: Tensor) -> Self:
        return self.with_moment(self.scatter(covariance), covariance.shape[-1])

    def parameters(self, components: int, features: int) -> int:
        return (1 if self.tied else components) * features

    def marginal(self, dims: Sequence[int]) -> Diagonal:
        return self._replace(factor=self.given[..., list(dims)])


class Spherical(Structure):
    r"""Round covariances: :math:`\Sigma_k = v_k I`.

    Arguments:
        variance: Positive variances, with shape ``(*B, K)``, or ``()`` where tied; none for a template.
        tied: Whether the components share one variance.

    Raises:
        MixtureError: If a variance is not positive and finite.

    Example:
        >>> mx.Spherical(torch.tensor([1.0, 4.0])).dense(2)[1]
        tensor([[4., 0.],
                [0., 4.]])
    """

    trailing = 0
    kernel = passes.torch_pass.Spherical
    expect = staticmethod(passes.spherical_pass)
    log_joint = staticmethod(passes.spherical_log_joint)
    log_density = staticmethod(passes.spherical_log_density)

    def __init__(self, variance: Tensor | None = None, *, tied: bool = False) -> None:
        factor = None if variance is None else _checked_variance(_lead(variance, 0, tied)).sqrt()
        object.__setattr__(self, "factor", factor)
        object.__setattr__(self, "tied", tied)

    def whiten(self, residual: Tensor) -> Tensor:
        return residual / self.given.unsqueeze(-1)

    def color(self, noise: Tensor) -> Tensor:
        return noise * self.given.unsqueeze(-1)

    def half_logdet(self, features: int) -> Tensor:
        return features * self.given.log()

    def inverse_factor(self) -> Tensor:
        return self.given.reciprocal()

    def solve(self, residual: Tensor) -> Tensor:
        return residual / self.given.square().unsqueeze(-1)

    def inv(self) -> Spherical:
        return self._replace(factor=self.given.reciprocal())

    def dense(self, features: int) -> Tensor:
        return torch.diag_embed(self.variance(features))

    def variance(self, features: int) -> Tensor:
        return self.scales(features).square()

    def scales(self, features: int) -> Tensor:
        return self.given.unsqueeze(-1).expand(*self.given.shape, features)

    @property
    def elementwise(self) -> bool:
        return True

    def color_rows(self, index: int | Tensor, noise: Tensor) -> Tensor:
        return _select(self.given.reshape(-1, 1), index) * noise

    def attraction(self, x: Tensor, mean: Tensor, r: Tensor) -> Tensor:
        return _axis_attraction(self.given.square().reciprocal().unsqueeze(-1), x, mean, r)

    def factor_gradient(self, weight: Tensor, scatter: Tensor, features: int) -> Tensor:
        return (scatter / self.given.square() - weight * features) / self.given

    def scatter(self, moment: Tensor) -> Tensor:
        return moment.diagonal(dim1=-2, dim2=-1).sum(-1)

    def outer(self, vector: Tensor) -> Tensor:
        return vector.square().sum(-1)

    def with_moment(self, moment: Tensor, features: int) -> Self:
        return self._replace(factor=(moment / features).sqrt())

    def with_covariance(self, covariance: Tensor) -> Self:
        return self.with_moment(self.scatter(covariance), covariance.shape[-1])

    def parameters(self, components: int, features: int) -> int:
        return 1 if self.tied else components

    def marginal(self, dims: Sequence[int]) -> Spherical:
        return self


def _by_columns(operate: Callable[[Tensor], Tensor], vectors: Tensor, inner: int) -> Tensor:
    """Applies matrices ``(*L, D, D)`` to vectors ``(*S, *L, D)`` as columns, ``inner`` being the length of ``(*L, D)``.

    Otherwise torch would copy the matrices for each sample.
    """
    outer = vectors.ndim - inner
    if outer < 1:
        return operate(vectors.unsqueeze(-1)).squeeze(-1)
    columns = operate(vectors.flatten(0, outer - 1).movedim(0, -1))
    return columns.movedim(-1, 0).reshape(vectors.shape[:outer] + columns.shape[:-1])


def _axis_attraction(precision: Tensor, x: Tensor, mean: Tensor, r: Tensor) -> Tensor:
    """The attraction for precisions ``(K or 1, D or 1)``, about a centre so that rows far from zero keep digits."""
    centre = mean.mean(0)
    near = mean - centre
    if precision.shape[0] != mean.shape[0]:  # tied
        return precision * (r @ near - (x - centre))
    return r @ (precision * near) - (x - centre) * (r @ precision)


def _select(rows: Tensor, index: int | Tensor) -> Tensor:
    return rows[index] if isinstance(index, int) else rows.index_select(0, index)


def _column(tensor: Tensor, dims: int) -> Tensor:
    return tensor.reshape(tensor.shape + (1,) * dims)


def _lead(values: Tensor, trailing: int, tied: bool) -> Tensor:
    """Gives a tied factor its K dimension of size one where it came without."""
    if not isinstance(values, Tensor):
        refuse("covariance", "a torch.Tensor", type(values).__name__)
    if values.ndim > trailing and (not tied or values.shape[values.ndim - trailing - 1] == 1):
        return values
    if tied:
        return values.unsqueeze(values.ndim - trailing)
    refuse("covariance", f"a tensor with a components dimension and {trailing} behind it", tuple(values.shape))


def _checked_variance(variance: Tensor) -> Tensor:
    bad = ~((variance > 0) & variance.isfinite())
    if bool(bad.any()):
        where = bad.nonzero()[0].tolist()
        refuse("variance", "positive and finite", f"{variance[tuple(where)].item():g} at index {where}")
    return variance


def _checked_cholesky(covariance: Tensor) -> Tensor:
    if covariance.shape[-1] != covariance.shape[-2]:
        refuse("covariance", "square matrices (..., K, D, D)", tuple(covariance.shape))
    if not bool(covariance.isfinite().all()):
        refuse("covariance", "finite", "NaN or infinity")
    scale = covariance.detach().abs().amax((-2, -1), keepdim=True)
    if bool(((covariance - covariance.mT).abs() > 1e3 * torch.finfo(covariance.dtype).eps * scale).any()):
        refuse("covariance", "symmetric", "a matrix that differs from its transpose", "Use (C + C.mT) / 2.")
    factor, info = torch.linalg.cholesky_ex(covariance)
    if bool((info > 0).any()):
        _report_indefinite(covariance, info)
    return factor


def _report_indefinite(covariance: Tensor, info: Tensor) -> None:
    where = tuple((info > 0).nonzero()[0].tolist())
    smallest = torch.linalg.eigvalsh(covariance.detach()[where])[0].item()
    raise MixtureError(
        f"`covariance` must be positive definite; the matrix at index {list(where)} has smallest eigenvalue "
        f"{smallest:.3g}. Add a positive number to its diagonal, or use fewer features."
    )
