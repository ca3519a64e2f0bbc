r"""What a sampler in machine code calls, as functions of C: :math:`\log p(u)` with its gradient, and a copy of u.

    int64 logp(uint64 dim, const double *x, double *gradient, double *value, const double *data)
    int64 expand(uint64 dim, uint64 wide, const double *x, double *out, const double *data)

0 is well, more than 0 sends the sampler back from where the density is not finite, less ends the run. Where the density
can be traced it is machine code, which is compared with autograd before anything is drawn; otherwise torch is called
back, a thousand times slower, and `Functions.reason` says why.
"""

from __future__ import annotations

import ctypes
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

import numpy as np
import torch

from ...kernels.compiled import traced_module
from .machine import Untraceable, machine

if TYPE_CHECKING:
    from ..posterior import Posterior

__all__ = ["FATAL", "FINE", "RECOVERABLE", "Functions", "functions"]

FINE, RECOVERABLE, FATAL = 0, 1, -1
_NUMBERS = ctypes.POINTER(ctypes.c_double)
_LOGP = ctypes.CFUNCTYPE(ctypes.c_int64, ctypes.c_uint64, _NUMBERS, _NUMBERS, _NUMBERS, ctypes.c_void_p)
_EXPAND = ctypes.CFUNCTYPE(ctypes.c_int64, ctypes.c_uint64, ctypes.c_uint64, _NUMBERS, _NUMBERS, ctypes.c_void_p)


@dataclass(frozen=True)
class Functions:
    """Two functions of C, and what they need to stay alive.

    Arguments:
        logp: The address of the log-density with its gradient.
        expand: The address of what writes down a point.
        data: The address of what both are given last.
        engine: ``"compiled"`` or ``"torch"``.
        reason: Why torch serves; empty where it does not.
        held: What must live as long as the addresses are used.
        failures: What was raised while torch served; whoever ran it raises the first.
    """

    logp: int
    expand: int
    data: int
    engine: str
    reason: str
    held: tuple[Any, ...]
    failures: list[BaseException] = field(default_factory=list)


def functions(posterior: Posterior) -> Functions:
    """Returns machine code for a posterior, or what calls torch back."""
    try:
        return _by_machine(posterior)
    except Untraceable as error:
        return _by_torch(posterior, str(error))


def _by_machine(posterior: Posterior) -> Functions:
    density = posterior.machine or machine(posterior)
    copied: Any = traced_module("copied")
    return Functions(density.address, copied.copying(), density.data.ctypes.data, "compiled", "", (density,))


def _by_torch(posterior: Posterior, reason: str) -> Functions:
    failures: list[BaseException] = []

    def logp(size: int, x: Any, gradient: Any, value: Any, data: Any) -> int:
        if failures:
            return RECOVERABLE  # so chains end soon, and without a panic
        try:
            u = torch.from_numpy(np.ctypeslib.as_array(x, (size,)).copy())
            found, slope = posterior.value_and_gradient(u)
            value[0] = float(found)
            np.ctypeslib.as_array(gradient, (size,))[:] = slope.numpy()
            return FINE if bool(found.isfinite() & slope.isfinite().all()) else RECOVERABLE
        except BaseException as error:  # nothing may be raised through a function of C; who called it raises this
            failures.append(error)
            return RECOVERABLE

    def expand(size: int, wide: int, x: Any, out: Any, data: Any) -> int:
        ctypes.memmove(out, x, size * ctypes.sizeof(ctypes.c_double))
        return FINE if size == wide else FATAL

    held = _LOGP(logp), _EXPAND(expand)
    logp_at, expand_at = (ctypes.cast(one, ctypes.c_void_p).value or 0 for one in held)
    return Functions(logp_at, expand_at, 0, "torch", reason, held, failures)
