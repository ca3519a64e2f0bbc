r"""Families on whole numbers: their cumulative probability is a staircase, which is level between whole numbers.

.. math:: F(x) = P(n \le \lfloor x \rfloor), \qquad 1 - F(x) = P(n > \lfloor x \rfloor) .
"""

from __future__ import annotations

from abc import abstractmethod
from dataclasses import dataclass

import torch
from torch import Tensor

from .coordinates import Coordinates

__all__ = ["Counts"]

_MOST = 1e17  # beyond which whole numbers are not told apart


@dataclass(frozen=True, eq=False, repr=False, init=False)
class Counts(Coordinates):
    """K distributions of whole numbers of at least 0, or of vectors of them with independent coordinates."""

    @abstractmethod
    def _up_to(self, n: Tensor) -> Tensor:
        """Returns the probability of at most n, whole numbers ``(..., 1)``, under each component in float64."""

    @abstractmethod
    def _beyond(self, n: Tensor) -> Tensor:
        """Returns the probability of more than n, as `_up_to` does."""

    def _cdf(self, x: Tensor) -> Tensor:
        found = self._up_to(_step(x)).to(x.dtype)
        return torch.where(x < 0, 0.0, torch.where(x > _MOST, 1.0, found))

    def _survival(self, x: Tensor) -> Tensor:
        found = self._beyond(_step(x)).to(x.dtype)
        return torch.where(x < 0, 1.0, torch.where(x > _MOST, 0.0, found))


def _step(x: Tensor) -> Tensor:
    return x.double().floor().clamp(0, _MOST)
