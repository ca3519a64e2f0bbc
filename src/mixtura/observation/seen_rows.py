"""Recorded rows one by one under each component: their density, and what they tell of the clean rows."""

from __future__ import annotations

import math
from collections.abc import Iterator
from dataclasses import dataclass
from functools import cached_property
from typing import TYPE_CHECKING

import torch
from torch import Tensor

from ..components import Gaussian
from ..components.covariance.columns import divided
from .base import aligned
from .matrices import Placed, apply, cholesky, image, whole

if TYPE_CHECKING:
    from .linear import Linear

__all__ = ["SeenRows", "pieces"]

_HALF_LOG_TWO_PI = 0.5 * math.log(2 * math.pi)


@dataclass(frozen=True, eq=False)
class SeenRows:
    r"""Recorded rows under each component: residual, A, S and V, gaps taken out.

    A coordinate that was not recorded keeps its place with a residual of zero, a row of zeros in A and a noise of one,
    which leaves T block diagonal; its density of :math:`(2\pi)^{-1/2}` is taken out again.
    """

    gaussian: Gaussian
    residual: Tensor  # (*rows, K, M)
    matrix: Tensor  # (*rows, K, M, D)
    noise: Tensor  # (*rows, K, M, M)
    recorded: Tensor | int  # how many coordinates, (*rows, 1)

    @classmethod
    def of(cls, observation: Linear, gaussian: Gaussian, y: Tensor, placed: Placed = aligned) -> SeenRows:
        offset = placed(observation.offset, gaussian)
        mean = image(observation.matrix, gaussian.location, gaussian, placed) + offset
        noise = placed(whole(observation.noise), gaussian)
        identity = torch.eye(observation.width, dtype=y.dtype, device=y.device)
        matrix = identity if observation.matrix is None else placed(observation.matrix, gaussian)
        residual = y.unsqueeze(-2) - mean
        if not (observation.gaps and bool(y.isnan().any())):
            return cls(gaussian, residual, matrix, noise, observation.width)
        absent = y.isnan().unsqueeze(-2)
        apart = absent.unsqueeze(-1) | absent.unsqueeze(-2)
        noise = torch.where(apart, identity * absent.unsqueeze(-1), noise)
        matrix = matrix.masked_fill(absent.unsqueeze(-1), 0.0)
        return cls(gaussian, residual.masked_fill(absent, 0.0), matrix, noise, (~absent).sum(-1))

    @cached_property
    def factor(self) -> Tensor:
        """The Cholesky factor L of T."""
        return cholesky(self.matrix @ self.gaussian.covariance @ self.matrix.mT + self.noise)

    @cached_property
    def inverse(self) -> Tensor:
        """:math:`L^{-1}`, which takes several times as long as the residuals alone."""
        identity = torch.eye(self.factor.shape[-1], dtype=self.factor.dtype, device=self.factor.device)
        return torch.linalg.solve_triangular(self.factor, identity, upper=False)

    @cached_property
    def white(self) -> Tensor:
        """The residuals times :math:`L^{-1}`."""
        return divided(self.factor, self.residual)

    @cached_property
    def log_prob(self) -> Tensor:
        """log p(y|k), with shape ``(*rows, K)``."""
        return _log_density(self.white, self.factor, self.recorded)

    def sums(self, r: Tensor) -> tuple[Tensor, Tensor]:
        """The sums u and Q of the module's equations over the rows, in float64."""
        back = self.inverse @ self.matrix  # L^-1 A
        pull = apply(back.mT, self.white)
        back, pull = torch.broadcast_to(back, (*pull.shape[:-1], *back.shape[-2:])), pull
        weighted = (r.unsqueeze(-1) * pull).double()
        outer = torch.einsum("n...i,n...j->...ij", weighted, pull.double())
        precision = torch.einsum("n...mi,n...mj->...ij", (r[..., None, None] * back).double(), back.double())
        return weighted.sum(0), outer - precision

    def moments(self) -> tuple[Tensor, Tensor]:
        """E[x - mu] and E[(x - mu)(x - mu)^T] given y, for each row and component."""
        gain = self.inverse @ self.matrix @ self.gaussian.covariance  # L^-1 A V
        shift = apply(gain.mT, self.white)
        return shift, shift.unsqueeze(-1) * shift.unsqueeze(-2) + self.gaussian.covariance - gain.mT @ gain


def pieces(observation: Linear, gaussian: Gaussian, y: Tensor) -> Iterator[SeenRows]:
    """The rows ``(n, ..., M)`` in pieces small enough for a matrix per row and component."""
    features = max(observation.width, gaussian.features)
    own = y.ndim <= len(gaussian.batch_shape)  # each row has components of its own
    if own or (
        observation.side and len(y) != len(observation.side[0])
    ):  # or sample dimensions are in front of the rows
        yield SeenRows.of(observation, gaussian, y)
        return
    size = max(1, 2**21 // (gaussian.batch_shape.numel() * features * features))
    for start in range(0, len(y), size):
        some = slice(start, start + size)
        yield SeenRows.of(observation.at([tensor[some] for tensor in observation.side]), gaussian, y[some])


def _log_density(z: Tensor, factor: Tensor, recorded: Tensor | int) -> Tensor:
    half_logdet = factor.diagonal(dim1=-2, dim2=-1).log().sum(-1)
    # A whole number times a float would be in single precision.
    count = torch.as_tensor(recorded, dtype=z.dtype, device=z.device)
    return -0.5 * z.square().sum(-1) - half_logdet - count * _HALF_LOG_TWO_PI
