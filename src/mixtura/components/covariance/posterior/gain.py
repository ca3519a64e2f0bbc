"""What a measurement teaches of a Gaussian vector, prepared once for all records."""

from __future__ import annotations

from abc import ABC, abstractmethod
from dataclasses import dataclass
from typing import Self

from torch import Tensor

from ...._value import Value

__all__ = ["Gain"]


@dataclass(frozen=True, eq=False, repr=False)
class Gain(Value, ABC):
    """All that does not depend on what was recorded; its tensors are led as the measurement's and the prior's are."""

    @abstractmethod
    def explain(self, y: Tensor, mean: Tensor) -> tuple[Tensor, Tensor]:
        """Returns log p(y) in nats, ``(*S, *L)``, and the posterior means ``(*S, *L, D)``.

        Arguments:
            y: What was recorded, less the offset, ``(*S, *L, M)``; any number where nothing was.
            mean: The prior means, with shape ``(*L, D)``.
        """

    def at(self, index: Tensor) -> Self:
        """Returns the gain of each row, for measurements of which the first dimension counts patterns of gaps."""
        return self.map(lambda tensor: tensor[index])
