r"""Families on numbers, which also serve vectors whose coordinates are independent within a component.

Parameters have shape ``(*B, K)`` for numbers and ``(*B, K, D)`` for vectors; ``vectors`` says which. Independence
within components is the assumption of latent class analysis (Lazarsfeld and Henry, 1968):

.. math:: \log p_k(x) = \sum_d \log p(x_d; \theta_{kd}) .
"""

from __future__ import annotations

from abc import abstractmethod
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any, ClassVar, Self

import torch
from torch import Generator, Tensor
from torch.distributions import constraints

from ..errors import refuse
from .base import Component
from .domains import in_words
from .spreading import spread_to

__all__ = ["Coordinates"]


@dataclass(frozen=True, eq=False, repr=False, init=False)
class Coordinates(Component):
    """K distributions of numbers, or of vectors with independent coordinates.

    A family lists its tensors as fields, the constraint of each in ``arguments``, and its ``domain``.
    """

    arguments: ClassVar[dict[str, Any]]
    vectors: bool = False

    def _seal(self, vectors: bool, **parameters: Tensor | float) -> None:
        """Checks and broadcasts the parameters, and sets them with ``vectors``."""
        tensors = [value for value in parameters.values() if isinstance(value, Tensor)]
        if not tensors or not all(tensor.is_floating_point() for tensor in tensors):
            name, value = next(iter(parameters.items()))
            refuse(name, "a floating point tensor (..., K)", getattr(value, "dtype", type(value).__name__))
        shape = torch.broadcast_shapes(*(tensor.shape for tensor in tensors))
        if len(shape) < 1 + vectors:
            refuse(next(iter(parameters)), f"of shape (..., K{', D' * vectors})", tuple(shape))
        for name, value in parameters.items():
            value = torch.as_tensor(value, dtype=tensors[0].dtype, device=tensors[0].device).expand(shape)
            self._check_argument(name, value)
            object.__setattr__(self, name, value)
        object.__setattr__(self, "vectors", vectors)

    def _check_argument(self, name: str, value: Tensor) -> None:
        constraint = self.arguments[name]
        bad = ~(constraint.check(value) & value.isfinite())
        if bool(bad.any()):
            refuse(name, f"finite and {in_words(constraint)}", value.detach()[bad][0].item())

    def verify(self) -> None:
        super().verify()
        for name in self.arguments:
            value = getattr(self, name)
            if value.shape != self._first.shape or value.ndim < 1 + self.vectors or not value.is_floating_point():
                expected = f"floating point numbers of shape {tuple(self._first.shape)}"
                refuse(name, expected, f"{value.dtype} {tuple(value.shape)}")
            self._check_argument(name, value)

    @property
    def _first(self) -> Tensor:
        return getattr(self, next(iter(self.arguments)))

    @property
    def batch_shape(self) -> torch.Size:
        return self._first.shape[:-1] if self.vectors else self._first.shape

    @property
    def event_shape(self) -> torch.Size:
        return self._first.shape[-1:] if self.vectors else torch.Size()

    @property
    def parameters(self) -> int:
        entries = max(1, self.batch_shape[:-1].numel())
        return sum(getattr(self, name).numel() for name in self.arguments) // entries

    @property
    def support(self) -> Any:
        return constraints.independent(self.domain, len(self.event_shape))

    def draw(self, labels: Tensor, generator: Generator | None = None) -> Tensor:
        return self.chosen(labels)._draw(generator)

    @abstractmethod
    def _draw(self, generator: Generator | None) -> Tensor:
        """Draws one number for every entry of the parameters."""

    def cdf(self, x: Tensor) -> Tensor:
        return self._of_numbers(self._cdf, x)

    def survival(self, x: Tensor) -> Tensor:
        return self._of_numbers(self._survival, x)

    def _of_numbers(self, function: Callable[[Tensor], Tensor], x: Tensor) -> Tensor:
        if self.event_shape.numel() != 1:
            raise self._no(f"cumulative probabilities in {self.event_shape[0]} dimensions")
        return self._sum(function(self._rows(x)).masked_fill(self._rows(x.isnan()), torch.nan))

    def _cdf(self, x: Tensor) -> Tensor:
        """Returns cumulative probabilities at numbers ``(..., 1, *event)`` under each component."""
        raise self._no("cumulative probabilities")

    def _survival(self, x: Tensor) -> Tensor:
        """Returns the probabilities of more than numbers ``(..., 1, *event)`` under each component."""
        return 1 - self._cdf(x)

    def marginal(self, dims: Sequence[int]) -> Self:
        return self.map(lambda t: t[..., list(dims)])

    def condition(self, dims: Sequence[int], values: Tensor) -> tuple[Self, Tensor]:
        free = [d for d in range(self.event_shape[0]) if d not in set(dims)]
        evidence = self.marginal(dims).log_prob(values)
        return spread_to(self.marginal(free), evidence.shape), evidence

    def _sum(self, per_coordinate: Tensor) -> Tensor:
        """Sums ``(..., *event)`` over the event."""
        return per_coordinate.sum(-1) if self.vectors else per_coordinate

    def _rows(self, x: Tensor) -> Tensor:
        """Rows ``(*S, *B, *event)`` with a components dimension before the event."""
        return x.unsqueeze(-1 - self.vectors)
