"""The backend that numba compiles for a CPU: which plans it serves, and the one place that imports compiled loops.

A pass compiles at its first use and is kept on disk; importing numba takes a third of a second, so small work, which
torch or the loops over small tables have done by then many times over, never does.
"""

from __future__ import annotations

import os
from functools import lru_cache
from importlib import import_module
from pathlib import Path
from types import ModuleType

import torch
from torch import Tensor

from .extra import Beyond
from .form import DIAGONAL, FULL, SPHERICAL
from .labels import Kind
from .plan import Plan
from .reference import Reference
from .sums import Sums

__all__ = ["Compiled", "box_module", "compiled_module", "regression_module", "small_module", "traced_module"]

_WORTH = 4_000_000  # about a millisecond in torch, a tenth of that compiled
_WORTH_ERRORS = 20_000  # rows times components with errors by row
_MOST_FEATURES = 24  # beyond, torch's batched Cholesky is as fast


def _many(plan: Plan, rows: int) -> bool:
    return plan.work(rows) >= _WORTH


def _many_with_errors(plan: Plan, rows: int) -> bool:
    return plan.mean.shape[-1] <= _MOST_FEATURES and rows * plan.logits.numel() >= _WORTH_ERRORS


_SERVED = {
    (Kind.SOFT, Beyond.NOTHING),
    (Kind.SINGLE, Beyond.NOTHING),
    (Kind.NEAREST, Beyond.NOTHING),
    (Kind.REMEMBERED, Beyond.NOTHING),
    (Kind.SOFT, Beyond.TAILS),
    (Kind.SOFT, Beyond.ERRORS),
}
_FORMS = (FULL, DIAGONAL, SPHERICAL)
_TYPES = (torch.float32, torch.float64)


class Compiled(Reference):
    """Serves float32 and float64 rows on a CPU, where numba compiles."""

    def worth(self, plan: Plan, x: Tensor) -> bool:
        return (_many_with_errors if plan.extra.beyond is Beyond.ERRORS else _many)(plan, len(x))

    def serves(self, plan: Plan, x: Tensor) -> bool:
        known = plan.form in _FORMS and (plan.rule.kind, plan.extra.beyond) in _SERVED
        return known and x.device.type == "cpu" and x.dtype in _TYPES and compiled_module("passes") is not None

    def sums(self, plan: Plan, x: Tensor, weight: Tensor | None = None) -> Sums:
        return _given().SUMS[plan.rule.kind, plan.extra.beyond](plan, x, weight)

    def log_joint(self, plan: Plan, x: Tensor) -> Tensor:
        return _given().LOG_JOINT.get(plan.extra.beyond, super().log_joint)(plan, x)

    def log_density(self, plan: Plan, x: Tensor) -> Tensor:
        return _given().LOG_DENSITY.get(plan.extra.beyond, super().log_density)(plan, x)

    def responsibilities(self, plan: Plan, x: Tensor) -> Tensor:
        return _given().RESPONSIBILITIES.get(plan.extra.beyond, super().responsibilities)(plan, x)

    def believed(self, plan: Plan, x: Tensor, joint: Tensor) -> Tensor:
        """By log densities of a pass of their own, which is faster than torch's softmax of many short rows."""
        return (joint - self.log_density(plan, x).unsqueeze(-1)).exp_()


def _given() -> ModuleType:
    passes = compiled_module("passes")
    if passes is None:
        raise ImportError("numba is missing or cannot compile here")
    return passes


@lru_cache
def compiled_module(name: str) -> ModuleType | None:
    """A module of compiled loops; none where numba is missing, switched off, or cannot keep what it compiles."""
    try:
        config, vector = import_module("numba.core.config"), import_module(".numba.vector", __package__)
        found = import_module(f".numba.{name}", __package__)
        import_module(".numba.telling", __package__).listen()
    except (ImportError, RuntimeError):  # numba's error where no directory for compiled code can be written
        return None
    return found if vector.has_fused_multiply_add() and not vars(config)["DISABLE_JIT"] else None


@lru_cache
def small_module(name: str) -> ModuleType | None:
    """A module of loops over small tables.

    There is none where llvmlite is missing or not understood, the loops have no source to be read, or compiling is off
    as for numba.
    """
    try:
        lanes, found = import_module(".native.lanes", __package__), import_module(f".small_steps.{name}", __package__)
        trial = import_module(".native.trial", __package__)
    except ImportError:
        return None
    wanted = os.environ.get("NUMBA_DISABLE_JIT", "0") == "0" and lanes.has_fused_multiply_add() and _written(found)
    return found if wanted and trial.works() else None


@lru_cache
def regression_module(name: str) -> ModuleType | None:
    """A module of passes over rows of regressions; none where there is none for small tables either."""
    if small_module("codes") is None:
        return None
    return import_module(f".regression_steps.{name}", __package__)


@lru_cache
def box_module(name: str) -> ModuleType | None:
    """A module of passes over rows in boxes; none where there is none for small tables either."""
    if small_module("codes") is None:
        return None
    return import_module(f".box_steps.{name}", __package__)


@lru_cache
def traced_module(name: str) -> ModuleType | None:
    """A module of what makes machine code of functions in torch; none where there is none for small tables either."""
    if small_module("codes") is None:
        return None
    return import_module(f".traced.{name}", __package__)


def _written(module: ModuleType) -> bool:
    """Whether the source of a module is there; programs frozen into one file come without."""
    path = Path(module.__file__ or "")
    return path.suffix == ".py" and path.exists()
