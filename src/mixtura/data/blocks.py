"""The rows a learner goes through, block by block.

A block is n consecutive rows: what was recorded, x of shape (n,) or (n, D), their weights w of shape (n,) where rows
are weighted, what stands between a draw and the record, and which components are possible for each row. Every pass
gives the same blocks, so sums over blocks are sums over rows, in whatever order and by whomever they are made.
"""

from __future__ import annotations

import math
from abc import ABC, abstractmethod
from collections.abc import Callable, Iterator, Sequence
from copy import copy
from dataclasses import dataclass, replace
from functools import cached_property
from typing import Any, Protocol, Self, TypeVar

import torch
from torch import Tensor

from mixtura.components.observation import EXACT, Frame, Observation
from mixtura.data.faults import Faults
from mixtura.data.possible import EVERY, Possible
from mixtura.data.weights import check_weight
from mixtura.errors import refuse

__all__ = ["Block", "Rows", "TensorRows"]


class _Adds(Protocol):
    def __add__(self, other: Any, /) -> Any: ...


Sum = TypeVar("Sum", bound=_Adds)
"""Anything that can be added to its like."""


@dataclass(frozen=True, eq=False)
class Block:
    """Some rows, mostly consecutive, and the whole of what is known of them.

    Arguments:
        x: What was recorded, with shape ``(n, *event)``.
        weight: How often each row counts, with shape ``(n,)``; none where every row counts once.
        observation: What stands between a draw and what is recorded, with the tensors of these rows.
        possible: Which components are possible for each row.
        start: The number of the first row.
        numbered: The numbers of the rows, with shape ``(n,)``, where they do not follow each other.

    Example:
        >>> Block(torch.zeros(4, 2), start=6).take(torch.tensor([0, 3])).numbers
        tensor([6, 9])
    """

    x: Tensor
    weight: Tensor | None = None
    observation: Observation = EXACT
    possible: Possible = EVERY
    start: int = 0
    numbered: Tensor | None = None

    def __len__(self) -> int:
        return len(self.x)

    @property
    def weights(self) -> Tensor:
        """How often each row counts, ``(n,)``, ones where nothing was said."""
        return self.x.new_ones(len(self.x)) if self.weight is None else self.weight

    @property
    def vectors(self) -> Tensor:
        """What was recorded, as vectors ``(n, D)``."""
        return self.x.reshape(len(self.x), self.x.shape[1:].numel())

    def take(self, index: Tensor | slice) -> Block:
        """Returns some of the rows."""
        return replace(
            self,
            x=self.x[index],
            weight=None if self.weight is None else self.weight[index],
            observation=self.observation.at([tensor[index] for tensor in self.observation.side]),
            possible=self.possible.at(index),
            numbered=self.numbers[index],
        )

    @property
    def numbers(self) -> Tensor:
        """The number of each row among all rows, ``(n,)``."""
        if self.numbered is not None:
            return self.numbered
        return torch.arange(self.start, self.start + len(self.x), device=self.x.device)

    def groups(self) -> Iterator[tuple[Block, int | None]]:
        """Iterates over the rows, those for which the same components are possible together: all, or only one."""
        if not self.possible.known:
            yield self, None
            return
        for index, component in self.possible.groups():
            yield self.take(index), component


class Rows(ABC):
    """N rows, in memory or not, that can be gone through in blocks any number of times.

    Attributes:
        columns: names of the D columns, None where they have none.
        event_shape: shape of one row: () for N numbers, (D,) for a table.
        dtype: torch.float32 or torch.float64, the dtype of every block.
        device: where every block is put.
        left_out: names of columns that only number the rows, and were left out because none were asked for.
        observation: what stands between a draw and what is recorded.
        possible: which components are possible for each row.
        in_memory: whether they are, so that something may be kept for each.

    Example:
        >>> from mixtura.data import rows
        >>> [len(block.x) for block in rows([1.0, 2.0, 3.0]).blocks(2)]
        [2, 1]
    """

    columns: tuple[str, ...] | None
    event_shape: torch.Size
    dtype: torch.dtype
    device: torch.device

    left_out: tuple[str, ...] = ()
    observation: Observation = EXACT
    possible: Possible = EVERY
    in_memory = False
    _drawn_shape: torch.Size | None = None

    @abstractmethod
    def __len__(self) -> int:
        """Number of rows N."""

    @abstractmethod
    def _blocks(self, size: int) -> Iterator[Block]:
        """What was recorded, and weights, block by block."""

    @property
    @abstractmethod
    def weight(self) -> Tensor | None:
        """Weights of all rows, (N,), or None; reads them into memory where they are a column of a file."""

    def blocks(self, size: int) -> Iterator[Block]:
        """All rows in order, `size` at a time; only the last block may be smaller. ValueError if size < 1."""
        if size < 1:
            refuse("size", "at least one row a block", size)
        return self._whole_blocks(size)

    def _whole_blocks(self, size: int) -> Iterator[Block]:
        """The blocks with all that is known of their rows."""
        start, side = 0, self.observation.side
        for block in self._blocks(size):
            part = slice(start, start + len(block.x))
            observation = self.observation.at([tensor[part] for tensor in side]) if side else self.observation
            yield Block(block.x, block.weight, observation, self.possible.at(part), start)
            start = part.stop

    def reduce(self, function: Callable[[Block], Sum], size: int | None = None) -> Sum:
        """The sum over all blocks of a function of a block: the one way in which learners go through rows.

        Arguments:
            function: From a block to anything that can be added to its like, such as `Statistics` or a list.
            size: Rows in a block; `suggested_size` if none is given.

        Example:
            >>> from mixtura.data import rows
            >>> rows([1.0, 2.0, 3.0]).reduce(lambda block: block.x.sum(), size=2)
            tensor(6., dtype=torch.float64)
        """
        blocks = self.blocks(self.suggested_size if size is None else size)
        total = function(next(blocks, Block(self._no_rows())))
        for block in blocks:
            total = total + function(block)
        return total

    def faults(self, wrong: Callable[[Tensor], Tensor]) -> Faults:
        """The entries of which a function of rows ``(n, *event)`` says that they cannot be used."""

        def of(block: Block) -> Faults:
            return Faults.of(block.vectors, wrong(block.x).reshape(block.vectors.shape), block.start)

        return self.reduce(of)

    def gather(self, function: Callable[[Block], Tensor], size: int | None = None) -> Tensor:
        """What a function says of each row, ``(n, ...)`` for a block of n, in the order of the rows."""
        return torch.cat(self.reduce(lambda block: [function(block)], size))

    def tensor(self) -> Tensor:
        """All rows as one tensor ``(N, *event)`` in memory."""
        return self.gather(lambda block: block.x)

    # -- how they were recorded

    @property
    def clean_shape(self) -> torch.Size:
        """Shape of one row as it was drawn, which a projection changes."""
        return self.event_shape if self._drawn_shape is None else self._drawn_shape

    def through(self, observation: Observation) -> Self:
        """The same rows, recorded through an observation."""
        features = observation.clean_features(self.features)
        shape = self.event_shape if features == self.features else torch.Size((features,))
        resolved = observation.resolve(Frame(shape, None, len(self), self.dtype, self.device))
        return self._known(observation=resolved, _drawn_shape=shape)

    def settled(self) -> Rows:
        """The same rows where they are read best: those of a small file in memory."""
        return self

    def labelled(self, possible: Possible) -> Self:
        """The same rows, with what is known of their labels."""
        return self._known(possible=possible)

    def _known(self, **more: Any) -> Self:
        rows = copy(self)
        for name, value in more.items():
            setattr(rows, name, value)
        return rows

    @property
    def named(self) -> Callable[[int], str]:
        """The name of a column by its number, in quotes, or the number where columns have none."""
        return lambda column: repr(self.columns[column]) if self.columns else str(column)

    @cached_property
    def total_weight(self) -> float:
        """Sum of the weights, in double precision; N when there are none."""
        if not self.weighted:
            return float(len(self))
        return math.fsum(weight.double().sum().item() for weight in self.weights())

    def to(self, dtype: torch.dtype) -> TensorRows:
        """The same rows in memory in another floating point type, with all that is known of them."""
        weight = None if self.weight is None else self.weight.to(dtype)
        seen = self.observation.to(dtype)
        return self.recorded_as(self.tensor().to(dtype), weight, observation=seen)

    def take(self, index: Tensor) -> TensorRows:
        """Some of the rows, by their numbers in rising order, in memory, with all that is known of them."""
        rows = TensorRows(*self._picked(index), self.columns)
        observation = self.observation.at([tensor[index] for tensor in self.observation.side])
        return rows._known(observation=observation, possible=self.possible.at(index), _drawn_shape=self._drawn_shape)

    def _picked(self, index: Tensor) -> tuple[Tensor, Tensor | None]:
        """What was recorded of some rows, and their weights where there are any."""
        found = self.reduce(lambda block: [block.take(_inside(index, block))])
        weight = torch.cat([block.weights for block in found]) if self.weighted else None
        return torch.cat([block.x for block in found]), weight

    @property
    def each_weight(self) -> Tensor:
        """How often each row counts, ``(N,)``, ones where nothing was said."""
        return self.gather(lambda block: block.weights)

    def counted(self) -> Tensor:
        """The numbers of the rows that count."""
        return torch.arange(len(self)) if self.weight is None else (self.weight > 0).nonzero().squeeze(-1).cpu()

    def reweighted(self, weight: Tensor | None) -> TensorRows:
        """The same rows in memory, with other weights."""
        return self.recorded_as(self.tensor(), weight)

    def recorded_as(self, x: Tensor, weight: Tensor | None, **known: Any) -> TensorRows:
        """Other rows in memory, with what is known of these unless it is said otherwise."""
        mine = {"observation": self.observation, "possible": self.possible, "_drawn_shape": self._drawn_shape}
        return TensorRows(x, weight, self.columns)._known(**{**mine, **known})

    def only(self, columns: Sequence[int]) -> Rows:
        """The same rows with some of their columns, in this order: numbers of one, else a table."""
        return _SomeColumns(self, columns)

    def number(self, column: int | str) -> int:
        """The number of a column, by number, from the end too, or by name."""
        if isinstance(column, int):
            if not -self.features <= column < self.features:
                refuse("columns", f"between 0 and {self.features - 1}", column)
            return column % self.features
        if column not in (self.columns or ()):
            refuse("columns", f"among {', '.join(self.columns or ()) or 'columns that have no names'}", repr(column))
        return (self.columns or ()).index(column)

    @property
    def weighted(self) -> bool:
        """Whether rows have weights."""
        return self.weight is not None

    @property
    def features(self) -> int:
        """Numbers in a row: D, or 1 where a row is one number."""
        return self.event_shape.numel()

    @property
    def suggested_size(self) -> int:
        """Rows in a block of about a mebibyte in double precision: small enough for the cache."""
        return max(1, 2**17 // self.features)

    def weights(self) -> Iterator[Tensor]:
        """The weights in pieces, in the order of the rows; nothing where rows have none."""
        for block in self.blocks(self.suggested_size):
            if block.weight is not None:
                yield block.weight

    def _no_rows(self) -> Tensor:
        return torch.empty((0, *self.event_shape), dtype=self.dtype, device=self.device)

    def __repr__(self) -> str:
        names = ", ".join(self.columns or ()) or f"{self.features} without names"
        return f"{type(self).__name__}({len(self)} rows; columns: {names}; {self.dtype}, {self.device})"


class TensorRows(Rows):
    """Rows in memory: blocks are views of `x` (N,) or (N, D), never copies.

    Raises ValueError for another number of dimensions, for names that do not match the columns, and for
    weights that are negative, not finite, all zero or not one for each row.

    Example:
        >>> TensorRows(torch.zeros(3, 2), columns=("a", "b"))
        TensorRows(3 rows; columns: a, b; torch.float32, cpu)
    """

    in_memory = True

    def __init__(self, x: Tensor, weight: Tensor | None = None, columns: tuple[str, ...] | None = None) -> None:
        check_shape(x.shape)
        check_names(columns, x.shape[1:])
        self._x = x.detach() if x.requires_grad else x  # learning records no gradients of the rows
        self._weight = None if weight is None else check_weight(weight, len(x)).detach().to(x)
        self.columns = columns
        self.event_shape, self.dtype, self.device = x.shape[1:], x.dtype, x.device

    def __len__(self) -> int:
        return len(self._x)

    @property
    def weight(self) -> Tensor | None:
        return self._weight

    def tensor(self) -> Tensor:
        return self._x

    def _picked(self, index: Tensor) -> tuple[Tensor, Tensor | None]:
        at = index.to(self._x.device)
        return self._x.index_select(0, at), None if self._weight is None else self._weight[at]

    def _blocks(self, size: int) -> Iterator[Block]:
        for start in range(0, len(self._x), size):
            part = slice(start, start + size)
            yield Block(self._x[part], None if self._weight is None else self._weight[part])


class _SomeColumns(Rows):
    """Some columns of rows that are read as they are."""

    def __init__(self, rows: Rows, columns: Sequence[int]) -> None:
        one = len(columns) == 1
        self._rows, self._kept = rows, columns[0] if one else list(columns)
        self.columns = tuple(rows.columns[c] for c in columns) if rows.columns else None
        self.event_shape, self.dtype, self.device = torch.Size(() if one else (len(columns),)), rows.dtype, rows.device
        self.possible, self.in_memory = rows.possible, rows.in_memory

    def __len__(self) -> int:
        return len(self._rows)

    @property
    def weight(self) -> Tensor | None:
        return self._rows.weight

    def _blocks(self, size: int) -> Iterator[Block]:
        return (replace(block, x=block.x[:, self._kept]) for block in self._rows._blocks(size))


_SHAPES = "N numbers, shape (N,), or a table of N rows, shape (N, D)"


def check_shape(shape: tuple[int, ...]) -> None:
    """Raises ValueError unless the shape is that of N numbers, (N,), or of a table, (N, D) with D at least
    1."""
    if len(shape) not in (1, 2) or shape[1:] == (0,):
        refuse("x", _SHAPES, f"shape {tuple(shape)}", "Reshape it so that the first dimension counts rows.")


def check_names(columns: tuple[str, ...] | None, event_shape: tuple[int, ...]) -> None:
    """Raises ValueError unless there is one name for each column."""
    if columns is not None and len(columns) != math.prod(event_shape):
        expected = f"one name for each of the {math.prod(event_shape)} columns of x"
        refuse("columns", expected, f"{len(columns)} names: {', '.join(columns)}", "Name every column once.")


def _inside(index: Tensor, block: Block) -> Tensor:
    """Those of the rows by number that lie in a block, numbered within it."""
    return index[(index >= block.start) & (index < block.start + len(block))] - block.start
