"""Mixtures of exponential families over small tables, as the kernels take them and give them back."""

from __future__ import annotations

from typing import Any

import numpy as np
import torch
from torch import Tensor

from ...data import Rows
from ...kernels.laws import Law
from ...kernels.small import Table, small
from ...kernels.small_members import Members
from ...mixture import Mixture

__all__ = ["members", "members_serve", "mixture_of"]

_MOST_STATISTICS = 128
_MOST = {Law.DIRECTION: 16}  # for Bessel functions of low order


def members_serve(rows: Rows, start: Mixture) -> bool:
    """Whether the kernels know the M-step of these components, and their statistics of rows are few."""
    components: Any = start.components
    matching = components.matching
    if matching is None:
        return False
    return small(len(rows), components.natural[0, 0].numel(), _MOST.get(matching.law, _MOST_STATISTICS))


def members(rows: Rows, floor: Tensor, start: Mixture) -> Members:
    """Returns a batch of mixtures, and the sufficient statistics of rows, as the kernels take them."""
    components: Any = start.components.to(torch.float64)
    x = rows.tensor().double()
    logits, natural = torch.log_softmax(start.logits.double(), -1), components.natural
    normaliser = components.log_normaliser(natural).reshape(*logits.shape, -1).sum(-1)
    statistics, base = components.sufficient(x).reshape(len(x), -1), components.base(x).reshape(len(x), -1).sum(-1)
    states = torch.cat([logits, logits - normaliser, natural.reshape(len(logits), -1)], -1)
    table = Table.of_statistics(statistics, base, rows.weight, floor.reshape(-1))
    return Members(
        table, logits.shape[-1], states.numpy(), np.zeros(len(states), np.int64), matching=components.matching
    )


def mixture_of(members: Members, like: Mixture) -> Mixture:
    """Returns them as a batch of mixtures like another."""
    components: Any = like.components.to(torch.float64)
    dtype = like.dtype
    natural = torch.from_numpy(members.natural.copy()).reshape(len(members), *components.natural.shape[1:])
    return Mixture._of(torch.from_numpy(members.logits.copy()).to(dtype), components.at_natural(natural).to(dtype))
