"""Which pass: compiled where that is worth the time to import numba, else torch."""

from functools import lru_cache
from types import ModuleType

import torch
from torch import Tensor

__all__ = ["compiled", "faster", "work"]

_WORTH = 4_000_000  # about a millisecond in torch, a tenth of that compiled; an import takes 300 of them


def work(rows: int, mean: Tensor) -> int:
    """Operations of a pass over so many rows for means (B, K, D), roughly: what sizes are compared by."""
    features = mean.shape[-1]
    return rows * mean.shape[0] * mean.shape[1] * (features * features + 10 * features + 20)


def faster(x: Tensor, mean: Tensor) -> ModuleType | None:
    """The compiled passes where they serve these rows and are the faster: by type, device and sizes alone."""
    fits = x.device.type == "cpu" and x.dtype in (torch.float32, torch.float64)
    return compiled() if fits and work(x.shape[0], mean) >= _WORTH else None


@lru_cache
def compiled() -> ModuleType | None:
    """The compiled passes, or None where numba is missing or cannot compile here."""
    try:
        from numba import config

        from .numba import gaussian as numba_pass
        from .numba import vector
    except (ImportError, RuntimeError):  # a runtime error: there is nowhere to keep compiled code
        return None
    return numba_pass if vector.has_fused_multiply_add() and not getattr(config, "DISABLE_JIT", False) else None
