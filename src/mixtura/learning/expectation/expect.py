r"""The E-step over all rows: sums of expected statistics, block by block.

.. math:: s(\theta) = \sum_{\text{blocks}} \sum_n \mathbb E\big[T(x_n, z_n) \mid x_n; \theta\big].

Statistics form a monoid, so the order and size of the blocks do not matter beyond rounding.
"""

from __future__ import annotations

from collections.abc import Iterator
from functools import reduce
from operator import add

import torch
from torch import Tensor

from ...components import Labels, Statistics
from ...data import Block, Rows
from ...mixture import Mixture
from ...observation import Observation
from .known_labels import Labelled, only
from .observed_rows import parts

__all__ = ["block_size", "expect", "log_joints", "read_under", "responsibilities"]

_BLOCK_BYTES = 2**25  # blocks of 32 MiB: large beside a call's overhead, small beside memory


def expect(mixture: Mixture, rows: Rows, labels: Labels) -> Statistics:
    """Returns the summed statistics of all rows under the mixture.

    Arguments:
        mixture: A mixture of any batch shape; the whole batch goes through the rows in one pass.
        rows: The rows.
        labels: The labels rule; `soft` gives the E-step of EM.
    """
    if isinstance(rows, Labelled):
        return reduce(add, (expect(only(mixture, k), group, labels) for k, group in rows.groups if len(group)))
    with torch.no_grad():
        return reduce(add, (_expect(mixture, *part, labels) for part in parts(rows, block_size(rows))))


def _expect(mixture: Mixture, block: Block, observation: Observation | None, labels: Labels) -> Statistics:
    """The statistics of one block; of the clean rows behind it, where it was seen through an observation."""
    x, weight = _inert(block)
    if observation is None:
        return mixture.components.expect(mixture.logits, x, weight, labels)
    return observation.expect(mixture.components, mixture.logits, x, weight, labels)


def log_joints(mixture: Mixture, rows: Rows) -> Iterator[tuple[Tensor, Tensor | None]]:
    """Yields the log joint ``(n, K)`` and weights of each block of rows, however they were observed."""
    if isinstance(rows, Labelled):
        for k, group in rows.groups:
            yield from log_joints(only(mixture, k), group)
        return
    for block, observation in parts(rows, block_size(rows)):
        x, weight = _inert(block)
        yield mixture.log_joint(x) if observation is None else observation.log_joint(mixture, x), weight


def read_under(mixture: Mixture, rows: Rows) -> Iterator[tuple[Block, Tensor]]:
    """Yields each block of rows, in order, with its log joint ``(n, K)``, however the rows were observed."""
    with torch.no_grad():
        for block, observation in parts(rows, rows.suggested_size):
            x = block.x.to(mixture.device, mixture.dtype)
            x = x if observation is not None else x.reshape(-1, *mixture.event_shape)
            yield block, mixture.log_joint(x) if observation is None else observation.log_joint(mixture, x)


def responsibilities(mixture: Mixture, rows: Rows) -> Iterator[tuple[Tensor, Tensor | None]]:
    """Yields the responsibilities ``(n, K)`` and weights of each block of rows, however they were observed."""
    return ((torch.softmax(joint, -1), weight) for joint, weight in log_joints(mixture, rows))


def _inert(block: Block) -> Block:
    """Puts a row that counts in the place of those that do not: zero times their density, if infinite, is NaN."""
    x, weight = block
    if weight is None or bool((counts := weight > 0).all()):
        return block
    stand_in = x[counts][:1] if bool(counts.any()) else torch.zeros_like(x[:1])
    return Block(torch.where(counts.reshape(-1, *(1,) * (x.ndim - 1)), x, stand_in), weight)


def block_size(rows: Rows) -> int:
    """Returns how many rows a learner reads at a time."""
    row_bytes = max(1, rows.features) * torch.finfo(rows.dtype).bits // 8
    return max(1024, _BLOCK_BYTES // row_bytes)
