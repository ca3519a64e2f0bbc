r"""A linear measurement of a vector, :math:`y = A x + \varepsilon` with :math:`\varepsilon \sim N(0, S)`."""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor

from ...._value import Value
from ..patterns import picks

__all__ = ["Coordinates", "Measurement"]


@dataclass(frozen=True, eq=False, repr=False)
class Measurement(Value):
    """What stands between a vector and its record; leading dimensions broadcast against those of the covariances.

    Arguments:
        matrix: A, with shape ``(*L, M, D)``, or none for the identity.
        noise: The variances of independent errors ``(*L, M)``, or S whole, ``(*L, M, M)``.
        diagonal: Whether errors are independent.
        absent: Which numbers were not recorded, ``(*L, M)``, or none where all were.
    """

    matrix: Tensor | None
    noise: Tensor
    diagonal: bool
    absent: Tensor | None

    @property
    def recorded(self) -> Tensor | int:
        """How many numbers were recorded, ``(*L)``."""
        return self.noise.shape[-1] if self.absent is None else (~self.absent).sum(-1)

    def whole_matrix(self) -> Tensor:
        """A with a row of zeros for each number that was not recorded."""
        size = self.noise.shape[-1]
        matrix = torch.eye(size, dtype=self.noise.dtype, device=self.noise.device)
        matrix = matrix if self.matrix is None else self.matrix
        return matrix if self.absent is None else matrix.masked_fill(self.absent.unsqueeze(-1), 0.0)

    def root(self) -> tuple[Tensor, bool]:
        """A root of S and whether it is lower triangular and can be divided by; a gap has an error of its own of 1."""
        if self.diagonal:
            noise = self.noise if self.absent is None else self.noise.masked_fill(self.absent, 1.0)
            return torch.diag_embed(noise.sqrt()), bool((noise > 0).all())
        return _root(self._whole_noise())

    def _whole_noise(self) -> Tensor:
        if self.absent is None:
            return self.noise
        apart = self.absent.unsqueeze(-1) | self.absent.unsqueeze(-2)
        return torch.where(apart, torch.diag_embed(self.absent.to(self.noise.dtype)), self.noise)

    def coordinates(self) -> Coordinates | None:
        """The same measurement coordinate by coordinate, where A picks and scales some and errors are independent."""
        if not self.diagonal:
            return None
        if self.matrix is None:
            seen = torch.ones_like(self.noise, dtype=torch.bool) if self.absent is None else ~self.absent
            return Coordinates(None, self.noise, seen, torch.zeros_like(self.noise[..., 0]))
        picked = self.matrix != 0
        if not picks(self.matrix) or not bool(picked.any(-1).all()):
            return None
        back = torch.where(picked, torch.where(picked, self.matrix, 1.0).reciprocal(), 0.0)
        back = back if self.absent is None else back.masked_fill(self.absent.unsqueeze(-1), 0.0)
        seen = (back != 0).any(-2)
        noise = (back.square() * self.noise.unsqueeze(-1)).sum(-2)
        stretch = torch.where(back != 0, back.abs(), 1.0).log().sum((-2, -1))
        return Coordinates(back, noise, seen, stretch)


@dataclass(frozen=True, eq=False, repr=False)
class Coordinates(Value):
    """A measurement of coordinates one by one, each with an error of its own.

    Arguments:
        back: What takes a record to the coordinates, with shape ``(*L, M, D)``, or none where it is them.
        noise: The variance of each coordinate's error, ``(*L, D)``.
        seen: Which coordinates were measured, ``(*L, D)``.
        stretch: The log-density that the change of scale adds, ``(*L)``.
    """

    back: Tensor | None
    noise: Tensor
    seen: Tensor
    stretch: Tensor

    @property
    def recorded(self) -> Tensor:
        """How many coordinates were measured, ``(*L)``."""
        return self.seen.sum(-1)


def _root(covariance: Tensor) -> tuple[Tensor, bool]:
    """The Cholesky factor; where a matrix is singular, symmetric roots, in which what is rounding counts as zero."""
    factor, info = torch.linalg.cholesky_ex(covariance)
    least = 10 * covariance.shape[-1] * torch.finfo(covariance.dtype).eps
    left, whole = (tensor.detach().diagonal(dim1=-2, dim2=-1) for tensor in (factor, covariance))
    if bool(((info == 0) & (left.square() > least * whole).all(-1)).all()):
        return factor, True
    values, vectors = torch.linalg.eigh(covariance)
    values = torch.where(values > least * values[..., -1:], values, 0.0)
    return (vectors * values.sqrt().unsqueeze(-2)) @ vectors.mT, False
