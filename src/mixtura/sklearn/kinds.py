r"""scikit-learn's covariance types: how each writes a covariance structure as arrays.

scikit-learn keeps the Cholesky factor U of each precision, :math:`\Sigma^{-1} = U U^\top` with U upper triangular;
Mixtura keeps the Cholesky factor L of the covariance, :math:`\Sigma = L L^\top`. They are the same thing:
:math:`U = L^{-\top}`. A tied array has no components dimension.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from dataclasses import dataclass

import torch
from torch import Tensor

from ..components import Diagonal, Full, Spherical, Structure

__all__ = ["KINDS", "Kind", "kind_of"]


@dataclass(frozen=True)
class Kind(ABC):
    """One covariance type: its name and the structure it stands for."""

    name: str
    template: Structure

    @abstractmethod
    def structure(self, precisions_cholesky: Tensor) -> Structure:
        """Returns the structure whose precisions have these Cholesky factors."""

    @abstractmethod
    def precisions_cholesky(self, structure: Structure) -> Tensor:
        """Returns the Cholesky factors of the precisions."""

    @abstractmethod
    def covariances(self, structure: Structure) -> Tensor:
        """Returns the covariances: matrices or variances."""

    @abstractmethod
    def precisions(self, precisions_cholesky: Tensor) -> Tensor:
        """Returns the precisions with these Cholesky factors."""

    @abstractmethod
    def cholesky(self, precisions: Tensor) -> Tensor:
        """Returns the Cholesky factors of precisions."""

    @abstractmethod
    def check(self, precisions: Tensor) -> None:
        """Raises ValueError unless the precisions are symmetric and positive definite."""

    @abstractmethod
    def reduced(self, matrix: Tensor) -> Tensor:
        """Returns one covariance matrix in this type's form: a matrix, variances, or their mean."""

    @abstractmethod
    def dense(self, one: Tensor, features: int) -> Tensor:
        """Returns the covariance matrix that has this form."""

    def shape_of_one(self, features: int) -> tuple[int, ...]:
        """Returns the shape of one covariance in this type's form."""
        return (features,) * self.template.trailing

    def shape(self, components: int, features: int) -> tuple[int, ...]:
        """Returns the shape of the arrays."""
        one = self.shape_of_one(features)
        return one if self.template.tied else (components, *one)


class Matrices(Kind):
    """Types "full" and "tied": a matrix for each component, or one for all."""

    def structure(self, precisions_cholesky: Tensor) -> Structure:
        lead = precisions_cholesky.unsqueeze(0) if self.template.tied else precisions_cholesky
        return self.template._replace(factor=self.template._replace(factor=lead.mT).inverse_factor())

    def precisions_cholesky(self, structure: Structure) -> Tensor:
        return self._drop(structure.inverse_factor().mT)

    def covariances(self, structure: Structure) -> Tensor:
        return self._drop(structure.dense(structure.given.shape[-1]))

    def precisions(self, precisions_cholesky: Tensor) -> Tensor:
        return precisions_cholesky @ precisions_cholesky.mT

    def cholesky(self, precisions: Tensor) -> Tensor:
        # U is upper triangular, so it is the lower factor of the matrix with its rows and columns reversed.
        return torch.linalg.cholesky(precisions.flip(-2, -1)).flip(-2, -1)

    def check(self, precisions: Tensor) -> None:
        symmetric = torch.isclose(precisions, precisions.mT, atol=1e-8).all()
        if not (symmetric and (torch.linalg.eigvalsh(precisions) > 0).all()):
            raise ValueError(f"'{self.name} precision' should be symmetric, positive-definite")

    def reduced(self, matrix: Tensor) -> Tensor:
        return matrix

    def dense(self, one: Tensor, features: int) -> Tensor:
        return one

    def _drop(self, tensor: Tensor) -> Tensor:
        return (tensor.squeeze(-3) if self.template.tied else tensor).contiguous()


class Scales(Kind):
    """Types "diag" and "spherical": variances for each component."""

    def structure(self, precisions_cholesky: Tensor) -> Structure:
        return self.template._replace(factor=precisions_cholesky.reciprocal())

    def precisions_cholesky(self, structure: Structure) -> Tensor:
        return structure.inverse_factor()

    def covariances(self, structure: Structure) -> Tensor:
        return structure.given.square()

    def precisions(self, precisions_cholesky: Tensor) -> Tensor:
        return precisions_cholesky.square()

    def cholesky(self, precisions: Tensor) -> Tensor:
        return precisions.sqrt()

    def check(self, precisions: Tensor) -> None:
        if not (precisions > 0).all():
            raise ValueError(f"'{self.name} precision' should be positive")

    def reduced(self, matrix: Tensor) -> Tensor:
        variance = matrix.diagonal()
        return variance if self.template.trailing else variance.mean()

    def dense(self, one: Tensor, features: int) -> Tensor:
        return torch.diag(one.expand(features))


KINDS: dict[str, Kind] = {
    kind.name: kind
    for kind in (
        Matrices("full", Full()),
        Matrices("tied", Full(tied=True)),
        Scales("diag", Diagonal()),
        Scales("spherical", Spherical()),
    )
}


def kind_of(structure: Structure) -> Kind | None:
    """Returns the covariance type that stands for a structure, or none where scikit-learn has no such type."""
    for kind in KINDS.values():
        if type(structure) is type(kind.template) and structure.tied == kind.template.tied:
            return kind
    return None
