r"""A posterior's log-density through machine code, as a function that torch can differentiate.

Value and gradient come together, point by point, so whoever asks for both pays once. Second derivatives go through
torch: machine code has none.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np
import torch
from torch import Tensor
from torch.autograd import Function

from .engine.machine import Untraceable, machine

if TYPE_CHECKING:
    from .posterior import Posterior

__all__ = ["by_machine", "machine_or_reason"]


def machine_or_reason(posterior: Posterior) -> tuple[Any, str]:
    """Returns the posterior as machine code, or none and the reason why torch serves, as well and slower."""
    try:
        return machine(posterior), ""
    except Untraceable as error:
        return None, str(error)


def by_machine(posterior: Posterior, u: Tensor) -> Tensor:
    """Returns log-densities ``(*S,)`` of points ``(*S, P)``."""
    found: Any = _Asked.apply(u.reshape(-1, u.shape[-1]), posterior)
    return found.reshape(u.shape[:-1])


class _Asked(Function):
    """Log-densities of points ``(n, P)``."""

    @staticmethod
    def forward(ctx: Any, u: Tensor, posterior: Posterior) -> Tensor:  # pyright: ignore[reportIncompatibleMethodOverride]
        found = [posterior.machine(one) for one in np.ascontiguousarray(u.detach().numpy())]
        gradient = torch.from_numpy(np.stack([one for _, one in found]))
        ctx.save_for_backward(u, gradient)
        ctx.posterior = posterior
        return torch.tensor([value for value, _ in found], dtype=torch.float64)

    @staticmethod
    def backward(ctx: Any, *upstream: Any) -> Any:
        u, gradient = ctx.saved_tensors
        if torch.is_grad_enabled():  # somebody wants derivatives of the gradient
            (gradient,) = torch.autograd.grad(ctx.posterior.by_torch(u).sum(), u, create_graph=True)
        return upstream[0].unsqueeze(-1) * gradient, None
