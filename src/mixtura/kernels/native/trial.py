"""Whether the LLVM that is installed does what is asked of it, tried on a function of one line.

Its interface in Python changes with its versions. Where a version is not understood, small tables go by torch.
"""

from __future__ import annotations

import warnings
from functools import cache

import llvmlite
from llvmlite import ir

from .machine import called
from .program import plain
from .values import REAL

__all__ = ["works"]

_NOT_UNDERSTOOD = (AttributeError, NotImplementedError, RuntimeError, TypeError, ValueError)


@plain
def half(number):
    """Half a number."""
    return 0.5 * number


@cache
def works() -> bool:
    """Whether machine code can be made here; where it cannot, that is said once."""
    try:
        return called(half, ir.FunctionType(REAL, [REAL]))(3.0) == 1.5
    except _NOT_UNDERSTOOD as error:
        said = f"{type(error).__name__}: {error}"
        warnings.warn(
            f"Small tables are fitted by torch, which takes longer: llvmlite {llvmlite.__version__} did not compile a "
            f"trial ({said}). Install another version of llvmlite, or report this one.",
            stacklevel=2,
        )
        return False
