"""What each operation of a tape is, in torch: for constants, and for what depends on data alone."""

from __future__ import annotations

from collections.abc import Callable

import torch
from torch import Tensor

__all__ = ["TRUTHS", "VALUES"]


def _chosen(truth: Tensor, one: Tensor, other: Tensor) -> Tensor:
    return torch.where(truth.bool(), one, other)


def _top(one: Tensor, other: Tensor) -> Tensor:
    return torch.where(one > other, one, other)


def _softplus(x: Tensor) -> Tensor:
    return x.clamp(min=0) + torch.log1p(torch.exp(-x.abs()))


VALUES: dict[str, Callable[..., Tensor]] = {
    "add": torch.add,
    "sub": torch.sub,
    "mul": torch.mul,
    "div": torch.div,
    "neg": torch.neg,
    "pow": torch.pow,
    "exp": torch.exp,
    "exp_below": torch.exp,
    "log": torch.log,
    "log1p": torch.log1p,
    "expm1": torch.expm1,
    "sqrt": torch.sqrt,
    "abs": torch.abs,
    "sign": torch.sign,
    "sin": torch.sin,
    "cos": torch.cos,
    "tan": torch.tan,
    "asin": torch.asin,
    "acos": torch.acos,
    "atan": torch.atan,
    "atan2": torch.atan2,
    "sinh": torch.sinh,
    "cosh": torch.cosh,
    "tanh": torch.tanh,
    "sigmoid": torch.sigmoid,
    "softplus": _softplus,
    "erf": torch.erf,
    "erfc": torch.erfc,
    "erfcx": torch.special.erfcx,
    "lgamma": torch.lgamma,
    "digamma": torch.digamma,
    "floor": torch.floor,
    "maximum": torch.maximum,
    "minimum": torch.minimum,
    "stop": torch.clone,
    "top": _top,
    "select": _chosen,
    "lt": torch.lt,
    "le": torch.le,
    "eq": torch.eq,
    "ne": torch.ne,
    "both": torch.logical_and,
    "either": torch.logical_or,
    "not": torch.logical_not,
}
"""By name of the operation; truths are given and returned as 0 and 1 or as booleans."""

TRUTHS = frozenset({"lt", "le", "eq", "ne", "both", "either", "not"})
"""The operations whose value is true or false."""
