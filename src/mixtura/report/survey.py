"""What one pass over the rows tells about a mixture: who is assigned where, and which rows are the least likely."""

from __future__ import annotations

from dataclasses import dataclass
from typing import NamedTuple

import torch
from torch import Tensor

from ..data import Block, Rows
from ..learning.expectation.expect import read_under
from ..mixture import Mixture

__all__ = ["Survey", "Unlikely", "survey"]


class Unlikely(NamedTuple):
    """A row of low density: its number from 0, its values, its component and its log-density in nats."""

    row: int
    values: tuple[float, ...]
    component: int
    log_density: float


@dataclass(frozen=True)
class Survey:
    """The rows as a mixture sees them.

    Arguments:
        log_likelihood: The total log-likelihood in nats, row weights included.
        assigned: The rows for which each component is the likeliest, ``(K,)``: their number, or their total weight.
        least: The rows of the lowest density among those that count, the lowest first.
    """

    log_likelihood: float
    assigned: Tensor
    least: tuple[Unlikely, ...]


def survey(mixture: Mixture, rows: Rows, least: int = 10) -> Survey:
    """Goes through the rows once.

    Arguments:
        mixture: A mixture without batch shape.
        rows: The rows; their number and their order are kept.
        least: How many of the least likely rows to name.

    Example:
        >>> fit = mx.fit(mx.datasets.old_faithful(), components=2)
        >>> found = mx.report.survey(fit.mixture, fit.rows)
        >>> int(found.assigned.sum()), abs(found.log_likelihood - fit.log_likelihood) < 1e-8
        (272, True)
    """
    assigned = torch.zeros(mixture.logits.shape[-1], dtype=torch.float64, device=mixture.device)
    total, lowest = 0.0, []
    for block, joint, log_density in read_under(mixture, rows):
        weight, label = block.weights.double(), joint.argmax(-1)
        assigned += torch.bincount(label, weight, minlength=len(assigned))
        total += torch.where(weight > 0, weight * log_density, 0).sum().item()
        lowest = sorted(lowest + _lowest(block, label, log_density, least), key=_likelihood)[:least]
    return Survey(total, assigned.cpu() if rows.weighted else assigned.cpu().long(), tuple(lowest))


def _lowest(block: Block, label: Tensor, log_density: Tensor, least: int) -> list[Unlikely]:
    order = log_density.argsort(stable=True)
    at = order[block.weights[order] > 0][:least].tolist()
    values = block.vectors
    return [Unlikely(block.start + i, tuple(values[i].tolist()), int(label[i]), log_density[i].item()) for i in at]


def _likelihood(row: Unlikely) -> tuple[float, int]:
    return row.log_density, row.row
