"""Starting centres where some labels are known: each class has its own."""

from __future__ import annotations

import torch
from torch import Tensor

from ...data import Possible

__all__ = ["class_centres"]


def class_centres(centres: Tensor, x: Tensor, weight: Tensor, possible: Possible) -> Tensor:
    """Returns centres ``(R, K, F)`` of which the first ones are those of the labelled classes, if there are any.

    Each class takes the place of the centre nearest to it, so that the remaining ones lie elsewhere.

    Arguments:
        centres: Centres that know nothing of labels.
        x: Rows as vectors ``(n, F)``.
        weight: How often each row counts, ``(n,)``.
        possible: What is known of the labels of these rows.
    """
    classes = [index for index, component in possible.groups() if component is not None]
    if not classes:
        return centres
    known = torch.stack([_mean(x[index], weight[index]) for index in classes])
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
