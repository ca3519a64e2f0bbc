"""A posterior's log-density and gradient as machine code, held to autograd before anybody relies on it."""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING, Any

import numpy as np
import torch
from torch import Tensor

from ...kernels.compiled import traced_module
from ...kernels.traced.tape import Untraceable

if TYPE_CHECKING:
    from ..posterior import Posterior

__all__ = ["Untraceable", "machine"]

_CLOSE = 1e-7  # of value and gradient, relative: rounding over many rows, not a wrong formula


def machine(posterior: Posterior) -> Any:
    """Returns a function from a point ``(P,)`` to value and gradient, with the addresses by which C calls it.

    Raises:
        Untraceable: If the density cannot be traced, or what came of it is another function; the message says why.
    """
    traced = traced_module("density")
    if traced is None:
        raise Untraceable("llvmlite, which makes machine code, is not there or not understood.")
    example, *others = (posterior.start(torch.Generator().manual_seed(seed)) for seed in range(3))
    density = traced.compiled(posterior.prepared, posterior.alike, example)
    for u in others:
        _compare(density, u, posterior)
    return density


def _compare(density: Callable[[np.ndarray], tuple[float, np.ndarray]], u: Tensor, posterior: Posterior) -> None:
    """Refuses machine code that is not the function, as where something went past torch while it was traced."""
    expected = [one.numpy() for one in posterior.value_and_gradient(u)]
    for name, one, other in zip(("value", "gradient"), density(u.numpy()), expected, strict=True):
        far = np.abs(one - other).max() / max(1.0, np.abs(other).max())
        if not far <= _CLOSE:
            raise Untraceable(f"Machine code and torch differ by {far:.1e} of the {name} at a start.")
