"""One pass over the rows, or over draws, as pieces of a table."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

import numpy as np
import torch

from ..data import Rows
from ..data.groups import Groups
from ..learning.expectation.expect import read_under
from ..mixture import Mixture
from .tables import Piece

__all__ = ["assignments", "draws", "group_assignments", "log_densities"]

_DRAWS = 2**16  # in a piece


def log_densities(mixture: Mixture, rows: Rows) -> Iterator[Piece]:
    """Each row's number, from 0, and its log-density in nats."""
    for block, _, log_density in read_under(mixture, rows):
        yield {"row": torch.arange(block.start, block.start + len(block)), "log_density": log_density}


def assignments(mixture: Mixture, rows: Rows) -> Iterator[Piece]:
    """Each row's number, from 0, its likeliest component, that component's probability, and its log-density."""
    for block, joint, log_density in read_under(mixture, rows):
        probability, component = joint.softmax(-1).max(-1)
        yield {
            "row": torch.arange(block.start, block.start + len(block)),
            "component": component,
            "probability": probability,
            "log_density": log_density,
        }


def group_assignments(mixture: Mixture, rows: Rows, groups: Groups) -> Iterator[Piece]:
    """Each row's number and group, and what `assignments` says of it under the mixture of its group, in one piece.

    A row whose group could not be fitted has component -1, and no numbers.
    """
    count, table = len(rows), rows.take(torch.arange(len(rows)))
    nothing = torch.full((count,), torch.nan, dtype=mixture.dtype)
    whole = {"component": torch.full((count,), -1), "probability": nothing, "log_density": nothing.clone()}
    order = groups.codes.argsort(stable=True)
    sound = ~mixture.logits.isnan().any(-1)
    for g, index in enumerate(order.split(torch.bincount(groups.codes, minlength=len(groups.names)).tolist())):
        for piece in assignments(mixture.batch(g), table.take(index)) if sound[g] else ():
            for name, column in whole.items():
                column[index[piece["row"]]] = piece[name]
    yield {"row": torch.arange(count), "group": np.asarray(groups.names)[groups.codes.numpy()], **whole}


def draws(mixture: Mixture, count: int, names: Sequence[str], generator: torch.Generator) -> Iterator[Piece]:
    """That many draws, column by column."""
    for start in range(0, count, _DRAWS):
        x = mixture.sample((min(_DRAWS, count - start),), generator).reshape(-1, len(names))
        yield dict(zip(names, x.T, strict=True))
