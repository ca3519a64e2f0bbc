"""How the parts of numba's kernels are compiled: without the wrappers by which Python and C would call them."""

from typing import Any

__all__ = ["UNWRAPPED"]

UNWRAPPED: dict[str, Any] = {"no_cpython_wrapper": True, "no_cfunc_wrapper": True}  # numba's types leave these out
