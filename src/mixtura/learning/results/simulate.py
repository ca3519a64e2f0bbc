"""Rows drawn from a mixture and recorded as given rows were: with their errors, limits and gaps, and known labels."""

from __future__ import annotations

import torch
from torch import Generator, Tensor

from ...data import Rows, TensorRows
from ...mixture import Mixture
from ...mixture.draws import labels_of

__all__ = ["simulated"]


@torch.no_grad()
def simulated(mixture: Mixture, rows: Rows, generator: Generator | None = None) -> TensorRows:
    """Returns as many rows from the mixture, recorded through the same observation.

    Each row keeps its weight and what is known of its label: a row whose label is known is drawn from that component.
    Entries that were not recorded are not recorded again.

    Arguments:
        mixture: A mixture of the rows as they are before any observation.
        rows: The rows to take the place of.
        generator: The source of randomness.
    """
    labels = _labels(mixture, rows, generator)
    clean = mixture.components.drawn_again(rows.tensor(), labels, generator)
    y = rows.observation.record(clean, labels, generator, mixture.components)
    y = y.masked_fill(rows.tensor().isnan(), torch.nan).to(rows.dtype)
    return rows.recorded_as(y, rows.weight)


def _labels(mixture: Mixture, rows: Rows, generator: Generator | None) -> Tensor:
    labels = labels_of(mixture.components.weights_at(mixture.logits, rows.tensor()), len(rows), generator)
    for index, component in rows.possible.groups():
        if component is not None:
            labels[index] = component
    return labels
