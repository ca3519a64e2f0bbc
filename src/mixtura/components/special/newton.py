"""Safeguarded Newton steps for the M-steps that have no closed form."""

from __future__ import annotations

from collections.abc import Callable

import torch
from torch import Tensor

__all__ = ["root"]


def root(
    rising: Callable[[Tensor], tuple[Tensor, Tensor]], start: Tensor, low: float, high: float, steps: int = 100
) -> Tensor:
    """Returns the root of a rising function of a positive number, elementwise; an end of the bracket where none is.

    A Newton step in log x that leaves the bracket, which shrinks at every step, is replaced by its middle; so the root
    is found from any start. NaN stays NaN.

    Arguments:
        rising: A function that returns the value and the slope at x.
        start: A first guess.
        low: The least value allowed, positive.
        high: The greatest value allowed.
        steps: The largest number of steps.

    Example:
        >>> from mixtura.components.special.newton import root
        >>> root(lambda x: (x * x - 2, 2 * x), torch.ones(1), 1e-3, 1e3)
        tensor([1.4142])
    """
    x = start.clamp(low, high)
    left, right = torch.full_like(x, low), torch.full_like(x, high)
    tolerance = 4 * torch.finfo(x.dtype).eps
    for _ in range(steps):
        value, slope = rising(x)
        left, right = torch.where(value < 0, x, left), torch.where(value > 0, x, right)
        newton = x * torch.exp((-value / (slope * x)).clamp(-50, 50))
        inside = (newton > left) & (newton < right)
        new = torch.where(inside, newton, (left * right).sqrt())
        new = torch.where(value == 0, x, torch.where(value.isnan(), torch.nan, new))
        still = (new - x).abs() > tolerance * x
        x = new
        if not bool(still.any()):
            break
    return x
