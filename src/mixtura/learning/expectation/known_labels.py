r"""Rows whose labels are partly known: semi-supervised learning.

A row known to come from component k is read under the mixture in which only that component is possible: its
log-weights are those of the mixture at k and minus infinity elsewhere. So its density is the joint one,
:math:`\log\pi_k + \log p_k(x)`, its responsibility is one, and every method, labels rule and fused pass serves
unchanged.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import torch
from torch import Tensor

from ...data import Block, Rows, TensorRows
from ...errors import refuse
from ...mixture import Mixture

__all__ = ["Labelled", "labelled", "only"]

UNKNOWN = -1


class Labelled(Rows):
    """Rows in memory with a label each: the index of a component, or -1 where it is not known."""

    def __init__(self, rows: Rows, labels: Tensor) -> None:
        self.columns, self.event_shape = rows.columns, rows.event_shape
        self.dtype, self.device = rows.dtype, rows.device
        self._plain = TensorRows(rows.tensor(), rows.weight, rows.columns)
        self.labels = labels
        self.groups = [(int(k), self._group(labels == k)) for k in labels.unique()]

    def __len__(self) -> int:
        return len(self._plain)

    @property
    def weight(self) -> Tensor | None:
        return self._plain.weight

    def tensor(self) -> Tensor:
        return self._plain.tensor()

    def take(self, index: Tensor) -> Labelled:
        """Returns some of the rows."""
        weight = None if self.weight is None else self.weight[index]
        return Labelled(TensorRows(self.tensor()[index], weight, self.columns), self.labels[index])

    def _blocks(self, size: int) -> Iterator[Block]:
        return self._plain.blocks(size)

    def _group(self, mask: Tensor) -> TensorRows:
        weight = None if self.weight is None else self.weight[mask]
        return _rows_of(self.tensor()[mask], weight)


def labelled(rows: Rows, labels: Any, components: int | None) -> Labelled:
    """Returns the rows with their labels.

    Arguments:
        rows: The rows; held in memory.
        labels: One whole number per row, -1 where the label is not known.
        components: The number of components, if given.

    Raises:
        MixtureError: If there is not one label per row, one is out of range, or a class has no row.
    """
    found = torch.as_tensor(labels, device=rows.device)
    if found.is_floating_point() or found.is_complex() or found.shape != (len(rows),):
        refuse("labels", f"one whole number for each of {len(rows)} rows", f"{found.dtype} {tuple(found.shape)}")
    found = found.long()
    most = int(found.max())
    if int(found.min()) < UNKNOWN or (components is not None and most >= components):
        limit = "up" if components is None else f"to {components - 1}"
        refuse("labels", f"-1 (unknown) or from 0 {limit}", f"{int(found.min())} to {most}")
    if most < 0:
        refuse("labels", "known for some row", "-1 for all", "Leave the argument out.")
    counts = torch.bincount(found[found >= 0], minlength=most + 1)
    if bool((counts == 0).any()):
        missing = (counts == 0).nonzero().squeeze(-1).tolist()
        advice = "Number the classes without gaps; components without labelled rows come last."
        refuse("labels", f"rows for every class up to {most}", f"none for {', '.join(map(str, missing))}", advice)
    return Labelled(rows, found)


def only(mixture: Mixture, component: int) -> Mixture:
    """Returns the mixture, not normalised, in which only one component is possible; all of them for -1."""
    if component == UNKNOWN:
        return mixture
    logits = torch.full_like(mixture.logits, -torch.inf)
    logits[..., component] = mixture.logits[..., component]
    return Mixture._of(logits, mixture.components)


def class_centres(centres: Tensor, x: Tensor, weight: Tensor, labels: Tensor) -> Tensor:
    """Returns centres ``(R, K, F)`` of which the first ones are those of the labelled classes.

    Each class takes the place of the centre nearest to it, so that the remaining ones lie elsewhere.
    """
    classes = int(labels.max()) + 1
    known = torch.stack([_mean(x[labels == k], weight[labels == k]) for k in range(classes)])
    return torch.stack([torch.cat((known, _others(one, known))) for one in centres])


def _mean(x: Tensor, weight: Tensor) -> Tensor:
    share = weight if bool((weight > 0).any()) else torch.ones_like(weight)
    return (share / share.sum()) @ x


def _others(centres: Tensor, known: Tensor) -> Tensor:
    distance = torch.cdist(known, centres)
    for row in range(len(known)):
        taken = int(distance[row].argmin())
        distance[:, taken] = torch.inf
    return centres[distance[0].isfinite()]


def _rows_of(x: Tensor, weight: Tensor | None) -> TensorRows:
    """Rows of one class; weights that are all zero are let through, since the rows beside them count."""
    if weight is None or bool((weight > 0).any()):
        return TensorRows(x, weight)
    return TensorRows(x[:0], None)
