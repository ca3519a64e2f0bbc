"""Rows that come in pieces of any size, in blocks of one."""

from __future__ import annotations

from collections.abc import Iterable, Iterator

import torch

from mixtura.data.blocks import Block

__all__ = ["reblock"]


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
    return block.take(slice(at)), block.take(slice(at, None))


def _join(blocks: list[Block]) -> Block:
    if len(blocks) == 1:
        return blocks[0]
    weights = [block.weight for block in blocks if block.weight is not None]
    return Block(torch.cat([block.x for block in blocks]), torch.cat(weights) if weights else None)
