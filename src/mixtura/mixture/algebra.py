r"""The algebra of mixtures: marginals, conditionals, affine maps, convolutions, products, and fewer components.

Each is closed: of a mixture comes a mixture. With :math:`x = (a, b)`,

.. math:: p(a) = \sum_k w_k\, p_k(a), \qquad
    p(a|b) = \sum_k r_k(b)\, p_k(a|b), \quad r_k(b) \propto w_k\, p_k(b) .

Coordinates are given by number, or by name where the mixture knows its columns; what is left keeps its names.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

import torch
from torch import Tensor

from ..components import Component, Structure
from ..errors import refuse
from . import merging
from .columns import common, kept, positions, values_of
from .weights import normalised

if TYPE_CHECKING:
    from .value import Mixture

__all__ = ["affine", "condition", "conditional_mean", "convolve", "marginal", "overlap", "product", "reduce"]

Dims = Sequence[int] | Sequence[str] | int | str


def marginal(self: Mixture, dims: Dims) -> Mixture:
    """Returns the mixture of some coordinates, in the order given.

    Arguments:
        dims: The coordinates, by number or by name.

    Raises:
        MixtureError: If a coordinate does not exist or is named twice.

    Example:
        >>> mixture = mx.Mixture(torch.ones(1), mx.Gaussian(torch.tensor([[1.0, 2.0]]), torch.eye(2)[None]))
        >>> mixture.marginal([1]).mean
        tensor([2.])
        >>> mixture.named(["height", "mass"]).marginal(["mass"]).columns
        ('mass',)
    """
    chosen = positions(self, dims)
    return self._of(self.logits, self.components.marginal(chosen), kept(self, chosen))


def condition(self: Mixture, dims: Dims, values: Any) -> Mixture:
    """Returns the mixture of the other coordinates given ``values`` ``(*S, *B, len(dims))`` of some.

    Arguments:
        dims: The coordinates that are known, by number or by name.
        values: Their values: numbers, a tensor, or a table or file that has columns of their names.

    Raises:
        MixtureError: If ``dims`` names a coordinate twice or all of them, or ``values`` does not fit.

    Example:
        >>> mean = torch.tensor([[0.0, 1.0], [1.0, 2.0]])
        >>> mixture = mx.Mixture(torch.ones(2), mx.Gaussian(mean, torch.eye(2).expand(2, 2, 2)))
        >>> mixture.condition([0], torch.tensor([0.0])).mean
        tensor([1.3775])
        >>> mixture.named(["alcohol", "colour"]).condition(["alcohol"], [0.0]).columns
        ('colour',)
    """
    known, values = _known(self, dims, values)
    components, evidence = self.components.condition(known, values)
    others = [d for d in range(self.event_shape[0]) if d not in known]
    return self._of(normalised(self.logits + evidence), components, kept(self, others))


def conditional_mean(self: Mixture, dims: Dims, values: Any) -> Tensor:
    """Returns the mean of the other coordinates given ``values`` of some: ``condition(dims, values).mean``.

    For many rows of a mixture of Gaussians one pass over them finds it, many times as fast as the mixtures themselves.

    Arguments:
        dims: The coordinates that are known, by number or by name.
        values: Their values ``(*S, *B, len(dims))``: numbers, a tensor, or a table or file with columns of their names.

    Raises:
        MixtureError: If ``dims`` names a coordinate twice or all of them, or ``values`` does not fit.

    Example:
        >>> mean = torch.tensor([[0.0, 1.0], [1.0, 2.0]])
        >>> mixture = mx.Mixture(torch.ones(2), mx.Gaussian(mean, torch.eye(2).expand(2, 2, 2)))
        >>> mixture.conditional_mean([0], torch.tensor([[0.0], [1.0]]))
        tensor([[1.3775],
                [1.6225]])
    """
    return self.components.conditional_mean(self.logits, *_known(self, dims, values))


def _known(self: Mixture, dims: Dims, values: Any) -> tuple[list[int], Tensor]:
    """What is known of a row: which coordinates, and their values."""
    known = positions(self, dims)
    if not 0 < len(known) < self.event_shape[0]:
        refuse("dims", f"some, but not all, of {self.event_shape[0]} coordinates", known)
    values = values_of(self, known, values)
    if values.shape[-1:] != (len(known),):
        refuse("values", f"of shape (..., {len(known)}), one value per coordinate given", tuple(values.shape))
    return known, values


def affine(self: Mixture, matrix: Tensor, offset: Tensor | None = None) -> Mixture:
    """Returns the mixture of ``matrix @ x + offset``, or a batch of them.

    Arguments:
        matrix: A matrix ``(D', D)`` of full row rank, or a stack ``(*L, D', D)`` of them, which gives a batch ``(*L)``;
            for numbers, a number. Of a batch of mixtures, each entry may have its own.
        offset: A vector ``(D',)``, or a stack of them.

    Raises:
        MixtureError: If a shape does not fit, or a matrix has not full row rank.

    What comes out are other columns, without names. The covariance structure becomes the least general that holds the
    image: diagonal where a diagonal one's coordinates are picked or scaled, spherical where a spherical one is turned.

    Example:
        >>> mixture = mx.Mixture(torch.ones(1), mx.Gaussian(torch.ones(1, 2), mx.Spherical(torch.ones(1))))
        >>> mixture.affine(torch.tensor([[[1.0, 0.0]], [[2.0, 2.0]]])).mean
        tensor([[1.],
                [4.]])
    """
    matrix = torch.as_tensor(matrix, dtype=self.dtype, device=self.device)
    offset = None if offset is None else torch.as_tensor(offset, dtype=self.dtype, device=self.device)
    if self.event_shape and (matrix.ndim < 2 or matrix.shape[-1] != self.event_shape[0]):
        refuse("matrix", f"of shape (..., rows, {self.event_shape[0]})", tuple(matrix.shape))
    if self.event_shape and offset is not None and offset.shape[-1:] != matrix.shape[-2:-1]:
        refuse("offset", f"of shape {tuple(matrix.shape[-2:-1])}, as the rows of `matrix`", tuple(offset.shape))
    return _spread(self, self.components.affine(matrix, offset))


def convolve(self: Mixture, covariance: Any) -> Mixture:
    """Returns the mixture of x plus independent zero-mean Gaussian noise.

    Arguments:
        covariance: A variance, a variance for each coordinate ``(D,)``, a matrix ``(D, D)`` or one for each component,
            or a covariance structure with values, tied where the components share it. A stack ``(*L, K or 1, D, D)``,
            or a structure of that batch, gives a batch ``(*L)``.

    Raises:
        MixtureError: If a shape does not fit, or a sum is not positive definite.

    The covariance structure becomes the least general that holds the sum.

    Example:
        >>> mixture = mx.Mixture(torch.ones(1), mx.Gaussian(torch.zeros(1, 2), mx.Spherical(torch.ones(1))))
        >>> mixture.convolve(0.5).components.structure
        Spherical(tensor(1,))
        >>> mixture.convolve(torch.tensor([0.5, 2.0])).covariance
        tensor([[1.5000, 0.0000],
                [0.0000, 3.0000]])
    """
    return _spread(self, self.components.convolve(_noise(self, covariance)), self.columns)


def product(self: Mixture, other: Mixture) -> Mixture:
    r"""Returns the normalised product :math:`p(x) q(x) / \int p q`: a mixture of all pairs of components.

    The log of the integral is available as ``p.overlap(q)``.

    Raises:
        MixtureError: If both have names of columns, and they differ.

    Example:
        >>> one = mx.Mixture(torch.ones(1), mx.Normal(torch.zeros(1), torch.ones(1)))
        >>> one.product(one).variance
        tensor(0.5000)
    """
    columns = common(self, other)
    components, log_mass = self.components.product(other.components)
    return self._of(torch.log_softmax(_pair_logits(self, other) + log_mass, -1), components, columns)


def overlap(self: Mixture, other: Mixture) -> Tensor:
    r"""Returns :math:`\log\int p(x) q(x) dx` in nats, with shape ``(*B)``.

    Example:
        >>> one = mx.Mixture(torch.ones(1), mx.Normal(torch.zeros(1), torch.ones(1)))
        >>> one.overlap(one)
        tensor(-1.2655)
    """
    _, log_mass = self.components.product(other.components)
    return torch.logsumexp(_pair_logits(self, other) + log_mass, -1)


def reduce(self: Mixture, components: int) -> Mixture:
    """Returns a mixture of fewer components with the same mean and covariance (Runnalls, 2007).

    Log-normal components keep mean and covariance of the logarithms.

    Arguments:
        components: The number of components to keep, between 1 and K.

    Raises:
        NotClosedForm: For other families than `Gaussian`, `Normal` and `LogNormal`.

    Example:
        >>> mixture = mx.Mixture(torch.ones(3), mx.Normal(torch.tensor([0.0, 0.1, 5.0]), torch.ones(3)))
        >>> mixture.reduce(2).components.mean
        tensor([0.0500, 5.0000])
    """
    return merging.reduce(self, components).named(self.columns)


def _spread(mixture: Mixture, components: Component, columns: tuple[str, ...] | None = None) -> Mixture:
    """The mixture of the same weights, in as large a batch as its components."""
    return mixture._of(mixture.logits.expand(components.batch_shape), components, columns)


def _noise(mixture: Mixture, covariance: Any) -> Tensor | Structure:
    if isinstance(covariance, Structure):
        return covariance
    noise, one = torch.as_tensor(covariance, dtype=mixture.dtype, device=mixture.device), tuple(mixture.event_shape)
    if one and noise.shape[max(0, noise.ndim - 2) :] not in ((), one, one * 2):
        refuse("covariance", f"of shape {one * 2}, {one} or a number", tuple(noise.shape))
    return noise


def _pair_logits(mixture: Mixture, other: Mixture) -> Tensor:
    return (mixture.logits.unsqueeze(-1) + other.logits.unsqueeze(-2)).flatten(-2)
