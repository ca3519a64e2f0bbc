"""What one pass over the rows tells about a mixture: who is assigned where, and which rows are the least likely."""

from __future__ import annotations

from dataclasses import dataclass
from typing import NamedTuple

import torch
from torch import Tensor

from ..data import Rows
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
        assigned: The number of rows for which each component is the likeliest, ``(K,)``.
        least: The rows of the lowest density, the lowest first.
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
    assigned = torch.zeros(mixture.logits.shape[-1], dtype=torch.long, device=mixture.device)
    total, start, lowest = 0.0, 0, []
    with torch.no_grad():
        for block, joint in read_under(mixture, rows):
            x, weight = block.x, block.weight
            log_density, label = joint.logsumexp(-1), joint.argmax(-1)
            assigned += torch.bincount(label, minlength=len(assigned))
            total += (log_density if weight is None else log_density * weight).double().sum().item()
            lowest = sorted(lowest + _lowest(x, label, log_density, start, least), key=_likelihood)[:least]
            start += len(x)
    return Survey(total, assigned.cpu(), tuple(lowest))


def _lowest(x: Tensor, label: Tensor, log_density: Tensor, start: int, least: int) -> list[Unlikely]:
    at = log_density.argsort(stable=True)[:least].tolist()
    values = x.reshape(len(x), -1)
    return [Unlikely(start + i, tuple(values[i].tolist()), int(label[i]), log_density[i].item()) for i in at]


def _likelihood(row: Unlikely) -> tuple[float, int]:
    return row.log_density, row.row
