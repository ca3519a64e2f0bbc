r"""The E-step over all rows: sums of expected statistics, block by block.

.. math:: s(\theta) = \sum_{\text{blocks}} \sum_n \mathbb E\big[T(x_n, z_n) \mid y_n; \theta\big].

A block is the whole of a row: what was recorded, how, how often it counts, and what is known of its label. Two
functions read it, for the fit and for everything after it: `log_joint`, how likely its rows are under each component,
and `statistics`, what is expected of the rows as they were drawn. Statistics form a monoid, so the order and size of
the blocks do not matter beyond rounding.

A row known to come from component k is read under the mixture in which only that component is possible: its
log-weights are those of the mixture at k and minus infinity elsewhere. So its density is the joint one,
:math:`\log\pi_k + \log p(y|k)`, its responsibility is one, and every method and fused pass serves unchanged.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import replace
from functools import reduce
from operator import add, attrgetter

import torch
from torch import Tensor

from ...components import Labels, Statistics
from ...data import Block, Rows
from ...kernels import Rule
from ...mixture import Mixture
from .sampled_labels import Sampled, SampledRows

__all__ = ["as_read", "block_size", "draw", "expect", "log_density", "log_joint", "read_under", "statistics"]

_BLOCK_BYTES = 2**25  # blocks of 32 MiB: large beside a call's overhead, small beside memory


@torch.no_grad()
def expect(mixture: Mixture, rows: Rows, labels: Labels) -> Statistics:
    """Returns the summed statistics of all rows under the mixture.

    Arguments:
        mixture: A mixture of any batch shape; the whole batch goes through the rows in one pass.
        rows: The rows.
        labels: The labels rule; `soft` gives the E-step of EM.
    """
    rule = Rule.of(labels).settled()
    return rows.reduce(lambda block: statistics(mixture, block, rule), block_size(rows))


@torch.no_grad()
def draw(mixture: Mixture, rows: Rows, labels: Sampled) -> Statistics:
    """Returns the summed statistics of one draw of every row's label, and of the row as it was before it was recorded.

    Arguments:
        mixture: A mixture of any batch shape; each entry draws its own.
        rows: The rows, of an observation that `draws`.
        labels: The rule that draws.
    """
    rule = labels.settled()
    return rows.reduce(lambda block: _of_draw(mixture, block, rule), block_size(rows))


def statistics(mixture: Mixture, block: Block, labels: Labels) -> Statistics:
    """Returns the expected statistics of a block's rows as they were drawn, and their log-likelihood."""
    sums = _by_group(mixture, block, Rule.of(labels), attrgetter("expect"))
    if not block.observation.selects:
        return sums
    return sums + block.observation.unrecorded(mixture.components, mixture.logits, block.weights)


def _of_draw(mixture: Mixture, block: Block, rule: SampledRows) -> Statistics:
    return _by_group(mixture, block, rule, attrgetter("drawn"))


def _by_group(mixture: Mixture, block: Block, rule: Rule, asked: attrgetter[Callable[..., Statistics]]) -> Statistics:
    """What the observation says of a block's rows, those for which the same components are possible together."""
    groups = list(replace(block, x=_inert(block)).groups())
    counted = [one for one in groups if len(groups) == 1 or _counts(one[0])] or groups[:1]
    return reduce(add, (_of_group(only(mixture, k), group, rule, asked) for group, k in counted))


def _counts(block: Block) -> bool:
    """Whether any row counts; a component whose labelled rows do not may be impossible."""
    return block.weight is None or bool((block.weight > 0).any())


def _of_group(mixture: Mixture, block: Block, rule: Rule, asked: attrgetter[Callable[..., Statistics]]) -> Statistics:
    labels = rule.for_rows(block.numbers) if rule.by_number else rule
    return asked(block.observation)(mixture.components, mixture.logits, block.x, block.weight, labels)


def log_joint(mixture: Mixture, block: Block) -> Tensor:
    """Returns :math:`\\log w_k + \\log p(y_n|k)` of a block's rows in nats, with shape ``(n, *B, K)``.

    It is minus infinity for components that are not possible.
    """
    return block.possible.among(block.observation.log_joint(mixture, _inert(block)))


def log_density(mixture: Mixture, block: Block) -> Tensor:
    """Returns the log-density of what was recorded of a block's rows, in nats, with shape ``(n, *B)``."""
    return torch.logsumexp(log_joint(mixture, block), -1) - block.observation.log_recorded(mixture)


def read_under(mixture: Mixture, rows: Rows) -> Iterator[tuple[Block, Tensor, Tensor]]:
    """Yields each block of rows, in order, its log joint ``(n, K)`` and its log-density ``(n,)``, row by row.

    A row that does not count is read as any other, unless it cannot be.
    """
    for block in rows.blocks(rows.suggested_size):
        with torch.no_grad():
            joint = log_joint(mixture, as_read(mixture, block))
            density = torch.logsumexp(joint, -1) - block.observation.log_recorded(mixture)
        yield block, joint, density


def as_read(mixture: Mixture, block: Block) -> Block:
    """Returns each row of a block as the mixture takes it: numbers or vectors of one feature, in its type."""
    shape = block.observation.recorded_shape(mixture.components)
    return each_row(replace(block, x=block.x.to(mixture.device, mixture.dtype).reshape(-1, *shape)))


def each_row(block: Block) -> Block:
    """Returns the block with rows that all count, for what is said of each; but for those that hold no numbers."""
    if block.weight is None:
        return block
    readable = block.vectors.isfinite().all(-1) | block.observation.gaps
    return replace(block, weight=None if bool(readable.all()) else readable.to(block.weight))


def only(mixture: Mixture, component: int | None) -> Mixture:
    """Returns the mixture, not normalised, in which only one component is possible; all of them for none."""
    if component is None:
        return mixture
    logits = torch.full_like(mixture.logits, -torch.inf)
    logits[..., component] = mixture.logits[..., component]
    return Mixture._of(logits, mixture.components)


def _inert(block: Block) -> Tensor:
    """Puts a row that counts in the place of those that do not: zero times their density, if infinite, is NaN."""
    x, weight = block.x, block.weight
    if weight is None or bool((counts := weight > 0).all()):
        return x
    stand_in = x[counts][:1] if bool(counts.any()) else torch.zeros_like(x[:1])
    return torch.where(counts.reshape(-1, *(1,) * (x.ndim - 1)), x, stand_in)


def block_size(rows: Rows) -> int:
    """Returns how many rows a learner reads at a time."""
    row_bytes = max(1, rows.features) * torch.finfo(rows.dtype).bits // 8
    return max(1024, _BLOCK_BYTES // row_bytes)
