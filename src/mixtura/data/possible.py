"""What is known of the labels of rows: which components are possible for each of them."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

import torch
from torch import Tensor

__all__ = ["EVERY", "UNKNOWN", "KnownLabels", "Possible"]

UNKNOWN = -1


class Possible:
    """Every component is possible for every row."""

    known = False

    def at(self, index: Tensor | slice) -> Possible:
        """Returns what is known of some of the rows."""
        return self

    def among(self, log_joint: Tensor) -> Tensor:
        """Returns a log joint ``(n, *B, K)`` with minus infinity where a component is not possible."""
        return log_joint

    def groups(self) -> Iterator[tuple[Tensor, int | None]]:
        """Iterates over the numbers of rows with one label, with that label, none where it is not known."""
        return iter(())


EVERY = Possible()


@dataclass(frozen=True, eq=False)
class KnownLabels(Possible):
    """Where a row's label is known, only that component is possible.

    Arguments:
        labels: Whole numbers ``(n,)``, -1 where the label is not known.

    Example:
        >>> known = KnownLabels(torch.tensor([1, -1]))
        >>> known.among(torch.zeros(2, 2))
        tensor([[-inf, 0.],
                [0., 0.]])
    """

    labels: Tensor
    known = True

    def at(self, index: Tensor | slice) -> KnownLabels:
        return KnownLabels(self.labels[index])

    def among(self, log_joint: Tensor) -> Tensor:
        middle = (1,) * (log_joint.ndim - 2)
        labels = self.labels.reshape(-1, *middle, 1)
        other = torch.arange(log_joint.shape[-1], device=log_joint.device) != labels
        return log_joint.masked_fill(other & (labels != UNKNOWN), -torch.inf)

    def groups(self) -> Iterator[tuple[Tensor, int | None]]:
        for label in self.labels.unique().tolist():
            yield (self.labels == label).nonzero().squeeze(-1), None if label == UNKNOWN else label
