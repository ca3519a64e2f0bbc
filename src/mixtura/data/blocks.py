"""The rows a learner goes through, block by block.

A block is n consecutive rows x of shape (n,) or (n, D), with their weights w of shape (n,) when rows are
weighted. Blocks come in the order of the rows, and every pass gives the same ones, so sums over blocks are
sums over rows.
"""

from __future__ import annotations

import math
from abc import ABC, abstractmethod
from collections.abc import Iterable, Iterator
from functools import cached_property
from typing import NamedTuple

import torch
from torch import Tensor

from mixtura.data.weights import check_weight
from mixtura.errors import refuse

__all__ = ["Block", "Rows", "TensorRows", "reblock"]


class Block(NamedTuple):
    """Consecutive rows `x` ``(n, *event)`` and their weights `weight` (n,), None when every row counts once.

    Example:
        >>> Block(torch.zeros(4, 2), None).x.shape
        torch.Size([4, 2])
    """

    x: Tensor
    weight: Tensor | None


class Rows(ABC):
    """N rows, in memory or not, that can be gone through in blocks any number of times.

    Attributes:
        columns: names of the D columns, None where they have none.
        event_shape: shape of one row: () for N numbers, (D,) for a table.
        dtype: torch.float32 or torch.float64, the dtype of every block.
        device: where every block is put.

    Example:
        >>> from mixtura.data import rows
        >>> [len(block.x) for block in rows([1.0, 2.0, 3.0]).blocks(2)]
        [2, 1]
    """

    columns: tuple[str, ...] | None
    event_shape: torch.Size
    dtype: torch.dtype
    device: torch.device

    @abstractmethod
    def __len__(self) -> int:
        """Number of rows N."""

    @abstractmethod
    def _blocks(self, size: int) -> Iterator[Block]: ...

    @property
    @abstractmethod
    def weight(self) -> Tensor | None:
        """Weights of all rows, (N,), or None; reads them into memory where they are a column of a file."""

    def blocks(self, size: int) -> Iterator[Block]:
        """All rows in order, `size` at a time; only the last block may be smaller. ValueError if size < 1."""
        if size < 1:
            refuse("size", "at least one row a block", size)
        return self._blocks(size)

    def tensor(self) -> Tensor:
        """All rows as one tensor ``(N, *event)`` in memory."""
        blocks = [block.x for block in self.blocks(self.suggested_size)]
        return torch.cat(blocks) if blocks else self._no_rows()

    @cached_property
    def total_weight(self) -> float:
        """Sum of the weights, in double precision; N when there are none."""
        if not self.weighted:
            return float(len(self))
        return math.fsum(weight.double().sum().item() for weight in self.weights())

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

    def _blocks(self, size: int) -> Iterator[Block]:
        for start in range(0, len(self._x), size):
            part = slice(start, start + size)
            yield Block(self._x[part], None if self._weight is None else self._weight[part])


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


def reblock(pieces: Iterable[Block], size: int) -> Iterator[Block]:
    """The same rows in blocks of `size`, holding never more than one piece and one block."""
    held: list[Block] = []
    missing = size
    for piece in pieces:
        while len(piece.x) >= missing:
            head, piece = _split(piece, missing)
            yield _join([*held, head])
            held, missing = [], size
        if len(piece.x):
            held.append(piece)
            missing -= len(piece.x)
    if held:
        yield _join(held)


def _split(block: Block, at: int) -> tuple[Block, Block]:
    x, weight = block
    if weight is None:
        return Block(x[:at], None), Block(x[at:], None)
    return Block(x[:at], weight[:at]), Block(x[at:], weight[at:])


def _join(blocks: list[Block]) -> Block:
    if len(blocks) == 1:
        return blocks[0]
    weights = [block.weight for block in blocks if block.weight is not None]
    return Block(torch.cat([block.x for block in blocks]), torch.cat(weights) if weights else None)
