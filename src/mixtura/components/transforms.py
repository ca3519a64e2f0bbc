"""Whether a transform looks on while densities are computed, such as ``torch.func.vmap``."""

from __future__ import annotations

import torch
from torch.autograd import forward_ad

__all__ = ["transformed"]


def transformed() -> bool:
    """Whether a transform of ``torch.func`` or forward-mode differentiation looks on, which need plain expressions.

    Example:
        >>> from mixtura.components.transforms import transformed
        >>> transformed()
        False
    """
    functions = torch._C._functorch.peek_interpreter_stack()  # type: ignore[attr-defined]
    return functions is not None or forward_ad._current_level >= 0
