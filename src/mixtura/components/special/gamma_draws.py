r"""Draws of standard gamma numbers."""

from __future__ import annotations

import torch
from torch import Generator, Tensor

__all__ = ["gamma"]


def gamma(shape: Tensor, generator: Generator | None) -> Tensor:
    """Draws from the standard gamma law of that shape."""
    return torch._standard_gamma(shape, generator=generator)
