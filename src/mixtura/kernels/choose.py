"""Which arithmetic runs: the first backend that is worth while for these rows and serves the plan."""

from torch import Tensor

from .compiled import Compiled
from .plan import Plan
from .reference import Reference

__all__ = ["BACKENDS", "add_backend", "choose"]

BACKENDS: list[Reference] = [Compiled(), Reference()]


def choose(plan: Plan, x: Tensor) -> Reference:
    """The backend for rows (N, D): by plan, type, device and sizes alone."""
    for backend in BACKENDS:
        if backend.worth(plan, x) and backend.serves(plan, x):
            return backend
    return BACKENDS[-1]


def add_backend(backend: Reference) -> None:
    """Lets a backend be asked before those that are there.

    Arguments:
        backend: A class derived from `Reference` that overrides what it does better, and says what it serves.

    Example:
        >>> class Never(mx.kernels.Reference):
        ...     def serves(self, plan, x):
        ...         return False
        >>> mx.kernels.add_backend(never := Never())
        >>> mx.kernels.BACKENDS.remove(never)
    """
    BACKENDS.insert(0, backend)
