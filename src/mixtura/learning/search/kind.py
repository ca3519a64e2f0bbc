"""What a search on a small table knows of its components beyond what the kernels do."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Sequence
from itertools import permutations
from typing import Any, Self

import numpy as np
from torch import Tensor

from ...data import Rows
from ...kernels.small import States
from ...mixture import Mixture
from .flight import Array

__all__ = ["Kind", "replaced"]


class Kind(ABC):
    """How mixtures of one kind go to the kernels and come back, how they are moved, and when they are spurious."""

    @classmethod
    @abstractmethod
    def serves(cls, rows: Rows, start: Mixture) -> bool:
        """Whether the kernels make many updates of EM for these components, on these rows, in a call."""

    @classmethod
    @abstractmethod
    def of(cls, start: Mixture) -> Self:
        """Returns the kind of a batch of mixtures."""

    @abstractmethod
    def states(self, rows: Rows, start: Mixture, floor: Tensor) -> States:
        """Returns a batch of mixtures, and the rows, as the kernels take them."""

    @abstractmethod
    def mixture(self, states: Any) -> Mixture:
        """Returns states as a batch of mixtures."""

    @abstractmethod
    def moves(self, states: Any) -> States:
        """Returns all moves from one start: a component is dropped, and another becomes two."""

    @abstractmethod
    def spurious(self, states: Any, total: Array) -> Array:
        """Tells which starts are at an optimum that is none of the data's, (S,); each has rows that weigh so much."""


def replaced(parts: Sequence[Array], one: Sequence[Array], other: Sequence[Array]) -> list[Array]:
    """For all pairs of K components the first is dropped and the second becomes two, (K (K - 1), K, ...).

    Arguments:
        parts: Parameters of the components, (K, ...) each.
        one, other: The parameters of the two that each may become.
    """
    dropped, split = np.array(list(permutations(range(len(parts[0])), 2))).T
    line, found = np.arange(len(split)), []
    for part, first, second in zip(parts, one, other, strict=True):
        several = np.repeat(part[None], len(line), 0)
        several[line, split], several[line, dropped] = first[split], second[split]
        found.append(several)
    return found
