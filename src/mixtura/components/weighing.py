"""How the weights of a mixture hang together with its components: mostly not at all.

Of gated components the weights hang on columns of a row. They know them, and a mixture of them keeps shares of rows.
"""

from __future__ import annotations

from typing import Any, ClassVar, Self

from torch import Tensor

from .._value import Value
from ..errors import refuse

__all__ = ["Weighing"]


class Weighing(Value):
    """K distributions that a mixture weighs, with batch shape ``(*B, K)``."""

    gated: ClassVar[bool] = False  # whether the weights of a mixture of them hang on columns of a row

    def weighed(self, logits: Tensor) -> tuple[Tensor, Self]:
        """Returns normalised log-weights ``(*B, K)`` and components as a mixture of both keeps them."""
        return logits, self

    def weights_at(self, logits: Tensor, x: Tensor) -> Tensor:
        """Returns the log-weights at rows ``(N, *event)`` of which the target is not known: ``(K,)`` or ``(N, K)``."""
        return logits

    def with_weights_of(self, old: Self) -> Self:
        """Returns the components with all that weights hang on as in ``old``."""
        return self

    @property
    def weight_parameters(self) -> int:
        """How many of the free parameters weights hang on, beside the K - 1 of a mixture."""
        return 0

    @property
    def factors(self) -> tuple[Any, ...]:
        """What a `JointPrior` has a prior for, one by one: the parts of a product, or components and their gate."""
        refuse("components", "a Product, or Gated", type(self).__name__)
