"""How the parts of kernels are compiled: without the wrappers by which Python and C would call them."""

from typing import Any

from numba import njit

__all__ = ["UNWRAPPED", "plain"]

UNWRAPPED: dict[str, Any] = {"no_cpython_wrapper": True, "no_cfunc_wrapper": True}  # numba's types leave these out

plain = njit(error_model="numpy", **UNWRAPPED)
