"""Where training takes its batches from: tables in memory, or a loader of the user's; and what of it is held out.

A batch is a pair: contexts, and a block of rows of the target, which says how they were recorded.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass, replace
from typing import Any

import torch
from torch import Generator, Tensor
from torch.utils.data import DataLoader, IterableDataset, random_split

from ..components.observation import Frame, Observation
from ..components.observation_sequence import as_one
from ..data import Block, rows
from ..errors import refuse

__all__ = ["Batches", "Target", "parted", "some_rows"]

_GAPS = "Drop or fill these rows, or say that NaN means a gap: observation=mx.observation.Missing()."
_SOME = 10_000  # rows of a loader from which a start is found

Batches = Iterable[tuple[Tensor, Block]]
"""Pairs of contexts and blocks of rows, as often as they are gone through."""


@dataclass(frozen=True)
class Target:
    """What is to be learned from rows.

    Attributes:
        shape: The shape of one row.
        like: A tensor of the type and device that rows are to have.
        checked: Refuses contexts that cannot be used.
        seen: What stands between a draw and its record.
    """

    shape: torch.Size
    like: Tensor
    checked: Callable[[Tensor], Any]
    seen: Observation

    def block(self, x: Any, seen: Observation) -> Block:
        """Returns rows of any form as one block; refused unless they have the target's features, finite where exact."""
        table = rows(x).through(seen)
        if not len(table) or table.clean_shape.numel() != self.shape.numel():
            wanted = f"rows of {self.shape.numel()} features"
            refuse("x", wanted, f"{table.clean_shape.numel()}" if len(table) else "none")
        y = table.tensor()
        if table.observation.exact and not bool(y.isfinite().all()):
            row = (~y.isfinite()).reshape(len(y), -1).any(1).nonzero()[0].item()
            refuse("x", "finite", f"NaN or infinity in row {row}", _GAPS)
        y = y if table.clean_shape != table.event_shape else y.reshape(len(y), *self.shape)
        return Block(y.to(self.like), observation=table.observation.to(self.like))

    @property
    def shared(self) -> Observation:
        """What stands between draw and record of rows that are not known yet; refused if each has its own."""
        frame = Frame(self.shape, None, None, self.like.dtype, self.like.device)
        found = self.seen.resolve(frame)
        if found.side:
            refuse("observation", "the same for all rows of a DataLoader", "errors of single rows", "Give tables.")
        return found

    def contexts(self, context: Any, count: int) -> Tensor:
        """Returns contexts of any form as a tensor; refused unless there is one for each row, all numbers finite."""
        if context is None:
            refuse("context", "given, one for each row", None)
        seen = context if isinstance(context, Tensor) else rows(context).tensor()
        self.checked(seen)
        if len(seen) != count:
            refuse("context", f"one for each of the {count} rows", f"{len(seen)}")
        return seen.to(self.like)


@dataclass(frozen=True, eq=False)
class Tables:
    """Rows in memory, in a new order each time, or always in their own.

    Attributes:
        context: The contexts ``(N, *shape)``.
        block: The rows of the target, ``(N, *event)``.
        size: Rows in a batch.
        source: The source of randomness.
        shuffled: Whether the order is a new one each time.
    """

    context: Tensor
    block: Block
    size: int
    source: Generator | None
    shuffled: bool

    def __iter__(self) -> Iterator[tuple[Tensor, Block]]:
        count = len(self.block)
        order = torch.randperm(count, generator=self.source) if self.shuffled else torch.arange(count)
        for index in order.split(self.size):
            yield self.context[index], self.block.take(index)

    def some(self, index: Tensor, shuffled: bool) -> Tables:
        """Returns some of the rows."""
        return replace(self, context=self.context[index], block=self.block.take(index), shuffled=shuffled)


@dataclass(frozen=True, eq=False)
class Loaded:
    """What a loader of the user's gives, in the type and on the device that rows are to have."""

    loader: Iterable[tuple[Tensor, Tensor]]
    like: Tensor
    seen: Observation

    def __iter__(self) -> Iterator[tuple[Tensor, Block]]:
        for context, x in self.loader:
            yield context.to(self.like), Block(x.to(self.like), observation=self.seen)


def parted(
    target: Target, x: Any, context: Any, validation: Any, size: int, source: Generator | None
) -> tuple[Batches, Batches | None]:
    """Returns the batches to learn from and those held out, which may be none.

    Arguments:
        target: What is to be learned from rows.
        x: The rows of the target, or a loader of pairs of contexts and rows.
        context: The contexts of the rows.
        validation: The share of rows to hold out; contexts and rows, and how these were recorded where it is otherwise;
            or a loader of pairs.
        size: Rows in a batch.
        source: The source of randomness.
    """
    if isinstance(x, DataLoader):
        learned, held = _parted_loader(x, context, validation, source)
        return _loaded(target, learned), None if held is None else _loaded(target, held)
    table = _table(target, size, context, x, target.seen, source)
    if isinstance(validation, DataLoader):
        return table, _loaded(target, validation)
    if isinstance(validation, tuple) and 1 < len(validation) < 4:
        other, y, *seen = validation
        held_out = _table(target, size, other, y, as_one(*seen) if seen else target.seen, None)
        return table, replace(held_out, shuffled=False)
    held = _held_out(len(table.block), validation)
    order = torch.randperm(len(table.block), generator=source)
    return table.some(order[held:], True), table.some(order[:held], False) if held else None


def _table(target: Target, size: int, context: Any, x: Any, seen: Observation, source: Generator | None) -> Tables:
    block = target.block(x, seen)
    return Tables(target.contexts(context, len(block)), block, size, source, shuffled=True)


def _loaded(target: Target, loader: Any) -> Loaded:
    return Loaded(loader, target.like, target.shared)


def some_rows(batches: Batches) -> tuple[Tensor, Block]:
    """Returns contexts and rows of the first batches, of a table all."""
    if isinstance(batches, Tables):
        return batches.context, batches.block
    found: list[tuple[Tensor, Block]] = []
    for context, block in batches:
        found.append((context, block))
        if sum(len(one) for _, one in found) >= _SOME:
            break
    contexts, blocks = zip(*found, strict=True)
    return torch.cat(contexts), replace(blocks[0], x=torch.cat([block.x for block in blocks]))


def _held_out(count: int, share: Any) -> int:
    """How many of so many rows are held out."""
    if not isinstance(share, float | int) or isinstance(share, bool) or not 0 <= share < 1:
        came = repr(share) if isinstance(share, float | int) else type(share).__name__
        refuse("validation", "a share between 0 and 1, (context, x), or a DataLoader", came)
    held = round(share * count)
    if share and not 0 < held < count:
        refuse("validation", f"a share that leaves some of {count} rows on either side", share)
    return held


def _parted_loader(loader: Any, context: Any, validation: Any, source: Generator | None) -> tuple[Batches, Any]:
    if context is not None:
        refuse("context", "None where x is a DataLoader, whose batches are pairs (context, x)", type(context).__name__)
    if isinstance(validation, DataLoader) or not validation:
        return loader, validation or None
    if isinstance(loader.dataset, IterableDataset):
        refuse("validation", "a DataLoader where x is one of a stream, or 0", validation)
    count = len(loader.dataset)
    held = _held_out(count, validation)
    learned, kept = random_split(loader.dataset, [count - held, held], source)
    return _like(loader, learned, True), _like(loader, kept, False)


def _like(loader: Any, dataset: Any, shuffle: bool) -> Any:
    """A loader of other rows that reads them in the same way."""
    return DataLoader(
        dataset,
        batch_size=loader.batch_size,
        shuffle=shuffle,
        num_workers=loader.num_workers,
        collate_fn=loader.collate_fn,
        generator=loader.generator,
    )
