r"""The geometric family on the number of failures before the first success.

.. math:: \log p(x; \pi) = \log\pi + x\log(1 - \pi), \qquad
    \eta = \log(1 - \pi), \quad T = x, \quad A = -\log(1 - e^\eta) .

The conjugate law of :math:`1 - \pi` is :math:`\mathrm{Beta}(\tau, \nu + 1)`.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar

import torch
from torch import Generator, Tensor
from torch.distributions import constraints

from ..kernels.laws import Law
from .binomial import beta, interior, log_beta
from .counts import Counts
from .exponential_family import ExponentialFamily

__all__ = ["Geometric"]


@dataclass(frozen=True, eq=False, repr=False, init=False)
class Geometric(Counts, ExponentialFamily):
    r"""K geometric distributions on whole numbers of at least 0 (failures before the first success).

    Arguments:
        probs: The probabilities :math:`\pi_k` of success, with shape ``(*B, K)``; ``(*B, K, D)`` for vectors.
        vectors: Whether rows are vectors with independent coordinates.

    Raises:
        MixtureError: If a probability is outside [0, 1].

    Example:
        >>> mx.Geometric(torch.tensor([0.5, 0.2])).mean
        tensor([1., 4.])
    """

    arguments: ClassVar = {"probs": constraints.unit_interval}
    domain = constraints.nonnegative_integer
    law = Law.GEOMETRIC
    probs: Tensor

    def __init__(self, probs: Tensor, *, vectors: bool = False) -> None:
        self._seal(vectors, probs=probs)
        object.__setattr__(self, "probs", interior(self.probs))

    def sufficient(self, x: Tensor) -> Tensor:
        return x

    @property
    def natural(self) -> Tensor:
        return torch.log1p(-interior(self.probs))  # a change of type may have rounded them to 0 or 1

    @property
    def log_volume(self) -> Tensor:
        return -self._sum(torch.log1p(-self.probs))

    def log_normaliser(self, natural: Tensor) -> Tensor:
        return -torch.log(-torch.expm1(natural))

    def base(self, x: Tensor) -> Tensor:
        return torch.zeros_like(x)

    def from_mean(self, mean: Tensor) -> Geometric:
        return self._replace(probs=interior(1 / (1 + mean)))

    def with_natural(self, natural: Tensor) -> Geometric:
        return self._replace(probs=interior(-torch.expm1(natural)))

    def prior_log_normaliser(self, strength: Tensor, total: Tensor) -> Tensor:
        return log_beta(total, strength + 1)

    def prior_draw(self, strength: Tensor, total: Tensor, generator: Generator | None) -> Geometric:
        return self._replace(probs=interior(beta(strength + 1, total, generator)))

    @property
    def mean(self) -> Tensor:
        return (1 - self.probs) / self.probs

    @property
    def variance(self) -> Tensor:
        return (1 - self.probs) / self.probs.square()

    def collapsed(self, floor: Tensor) -> Tensor:
        return self.broken()

    def _up_to(self, n: Tensor) -> Tensor:
        return -torch.expm1((n + 1) * torch.log1p(-self.probs.double()))

    def _beyond(self, n: Tensor) -> Tensor:
        return torch.exp((n + 1) * torch.log1p(-self.probs.double()))

    def _draw(self, generator: Generator | None) -> Tensor:
        uniform = torch.rand(self.probs.shape, dtype=self.dtype, device=self.device, generator=generator)
        return (torch.log1p(-uniform) / torch.log1p(-self.probs)).floor()
