"""Which arithmetic runs: the first backend that is worth while for these rows and serves the plan."""

from torch import Tensor

from .compiled import Compiled
from .plan import Plan
from .reference import Reference

__all__ = ["BACKENDS", "choose"]

BACKENDS: tuple[Reference, ...] = (Compiled(), Reference())


def choose(plan: Plan, x: Tensor) -> Reference:
    """The backend for rows (N, D): by plan, type, device and sizes alone."""
    for backend in BACKENDS:
        if backend.worth(plan, x) and backend.serves(plan, x):
            return backend
    return BACKENDS[-1]
