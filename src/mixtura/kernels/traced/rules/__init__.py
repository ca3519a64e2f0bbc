"""What torch's operations are on arrays of nodes, by their names; each rule takes arguments as torch's own does."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from . import algebra, elementwise, reductions, shapes

__all__ = ["RULES"]

RULES: dict[str, Callable[..., Any]] = {**shapes.RULES, **elementwise.RULES, **reductions.RULES, **algebra.RULES}
