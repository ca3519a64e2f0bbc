"""The passes for labels that give each row to one component, compiled for a CPU.

The log joint of a block comes from the compiled passes; then every row picks its component and adds its moments to that
component alone, once instead of K times. Blocks are as many rows as keep their log joint in the cache.
"""

from __future__ import annotations

import math
from typing import cast

import numpy as np
import torch
from torch import Tensor

from ..form import FULL
from ..labels import Single
from ..plan import Plan
from ..sums import Sums
from . import gaussian
from .layouts import Array
from .single_loops import add_rows

__all__ = ["sums"]

_BLOCK_BYTES = 4 << 20


def sums(plan: Plan, x: Tensor, weight: Tensor | None) -> Sums:
    """Everything an update needs, with a whole row for one component."""
    threshold = cast(Single, plan.labels).threshold(x, plan.restarts)
    rows, shares = gaussian.rows_of(x), gaussian.row_weights(x, weight)
    mean, room = plan.mean.double().numpy(), _room(plan)
    height = max(1024, _BLOCK_BYTES // (plan.logits.numel() * x.element_size()))
    for begin in range(0, len(x), height):
        part = slice(begin, begin + height)
        joint = gaussian.log_joint(plan, x[part]).numpy()
        drawn = np.empty((0, 0), joint.dtype) if threshold is None else threshold[part].numpy()
        add_rows(rows[part], shares[part], mean, joint, drawn, *room)
    likelihood, mass, shift, second = (torch.from_numpy(field) for field in room)
    return Sums(likelihood, mass, shift, _shaped(plan, second))


def _room(plan: Plan) -> tuple[Array, ...]:
    restarts, components, features = plan.mean.shape
    second = restarts, plan.factor.shape[1], math.prod(plan.form.shape(features))
    shapes = (restarts,), (restarts, components), (restarts, components, features), second
    return tuple(np.zeros(shape) for shape in shapes)


def _shaped(plan: Plan, second: Tensor) -> Tensor:
    shaped = second.reshape(*second.shape[:2], *plan.form.shape(plan.mean.shape[2]))
    return shaped.tril() + shaped.tril(-1).mT if plan.form is FULL else shaped
