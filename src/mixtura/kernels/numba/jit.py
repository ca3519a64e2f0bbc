"""How the parts of numba's kernels are compiled: without the wrappers by which Python and C would call them."""

from typing import Any

__all__ = ["ENTRY", "UNWRAPPED"]

ENTRY: dict[str, Any] = {"no_cfunc_wrapper": True}  # numba's types leave these out
UNWRAPPED: dict[str, Any] = {"no_cpython_wrapper": True, **ENTRY}
