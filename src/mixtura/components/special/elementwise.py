"""Functions of numbers, with derivatives of our own, of whole tensors."""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor

__all__ = ["Elementwise"]


class Elementwise(torch.autograd.Function):
    """A function that takes tensors of one shape entry by entry, and flags after them: a batch of them is like one."""

    @classmethod
    def of(cls, *inputs: Any) -> Tensor:
        """Returns the function of tensors that broadcast, with the flags after them."""
        tensors = [one for one in inputs if isinstance(one, Tensor)]
        return cls.apply(*torch.broadcast_tensors(*tensors), *inputs[len(tensors) :])  # type: ignore[return-value]

    @classmethod
    def vmap(cls, info: Any, dims: tuple[int | None, ...], *inputs: Any) -> tuple[Tensor, int]:
        moved = (one if dim is None else one.movedim(dim, 0) for one, dim in zip(inputs, dims, strict=True))
        return cls.of(*moved), 0
