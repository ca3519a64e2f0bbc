"""Where training takes its batches from: tables in memory, or a loader of the user's; and what of it is held out.

A batch is a pair: contexts, or none, and rows of the target.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass, replace
from typing import Any

import torch
from torch import Generator, Tensor
from torch.utils.data import DataLoader, IterableDataset, random_split

from ..components.observation import EXACT, Observation
from ..data import rows
from ..errors import refuse

__all__ = ["Batches", "Target", "parted", "some_rows"]

_SOME = 10_000  # rows of a loader from which a start is found

Batches = Iterable[tuple[Tensor, Tensor]]
"""Pairs of contexts and rows, as often as they are gone through."""


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

    def rows(self, x: Any) -> Tensor:
        """Returns rows of any form as a tensor; refused unless they have the target's features, all finite."""
        table = rows(x).through(self.seen)
        if table.observation.side:
            advice = "In a loop of your own, convolve each row's mixture with its own errors."
            refuse("observation", "the same for all rows", "errors of single rows", advice)
        y = table.tensor()
        if y[:1].numel() != self.shape.numel():
            refuse("x", f"rows of {self.shape.numel()} features", f"{y[:1].numel()}")
        if self.seen is EXACT and not bool(y.isfinite().all()):
            row = (~y.isfinite()).reshape(len(y), -1).any(1).nonzero()[0].item()
            refuse("x", "finite", f"NaN or infinity in row {row}", "Drop or fill these rows.")
        return y.reshape(len(y), *self.shape).to(self.like)

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
        x: The rows of the target ``(N, *event)``.
        size: Rows in a batch.
        source: The source of randomness.
        shuffled: Whether the order is a new one each time.
    """

    context: Tensor
    x: Tensor
    size: int
    source: Generator | None
    shuffled: bool

    def __iter__(self) -> Iterator[tuple[Tensor, Tensor]]:
        count = len(self.x)
        order = torch.randperm(count, generator=self.source) if self.shuffled else torch.arange(count)
        for index in order.split(self.size):
            yield self.context[index], self.x[index]

    def some(self, index: Tensor, shuffled: bool) -> Tables:
        """Returns some of the rows."""
        return replace(self, context=self.context[index], x=self.x[index], shuffled=shuffled)


@dataclass(frozen=True, eq=False)
class Loaded:
    """What a loader of the user's gives, in the type and on the device that rows are to have."""

    loader: Iterable[tuple[Tensor, Tensor]]
    like: Tensor

    def __iter__(self) -> Iterator[tuple[Tensor, Tensor]]:
        for context, x in self.loader:
            yield context.to(self.like), x.to(self.like)


def parted(
    target: Target, x: Any, context: Any, validation: Any, size: int, source: Generator | None
) -> tuple[Batches, Batches | None]:
    """Returns the batches to learn from and those held out, which may be none.

    Arguments:
        target: What is to be learned from rows.
        x: The rows of the target, or a loader of pairs of contexts and rows.
        context: The contexts of the rows.
        validation: The share of rows to hold out, a pair of contexts and rows, or a loader of such pairs.
        size: Rows in a batch.
        source: The source of randomness.
    """
    if isinstance(x, DataLoader):
        learned, held = _parted_loader(x, context, validation, source)
        return Loaded(learned, target.like), None if held is None else Loaded(held, target.like)
    y = target.rows(x)
    table = Tables(target.contexts(context, len(y)), y, size, source, shuffled=True)
    if isinstance(validation, DataLoader):
        return table, Loaded(validation, target.like)
    if isinstance(validation, tuple):
        other = target.rows(validation[1])
        return table, Tables(target.contexts(validation[0], len(other)), other, size, None, shuffled=False)
    held = _held_out(len(y), validation)
    order = torch.randperm(len(y), generator=source)
    return table.some(order[held:], True), table.some(order[:held], False) if held else None


def some_rows(batches: Batches) -> tuple[Tensor, Tensor]:
    """Returns contexts and rows of the first batches, of a table all."""
    if isinstance(batches, Tables):
        return batches.context, batches.x
    found: list[tuple[Tensor, Tensor]] = []
    for context, x in batches:
        found.append((context, x))
        if sum(len(one) for _, one in found) >= _SOME:
            break
    contexts, x = zip(*found, strict=True)
    return torch.cat(contexts), torch.cat(x)


def _held_out(count: int, share: Any) -> int:
    """How many of so many rows are held out."""
    if not isinstance(share, float | int) or isinstance(share, bool) or not 0 <= share < 1:
        refuse("validation", "a share between 0 and 1, a pair (context, x), or a DataLoader", repr(share))
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
