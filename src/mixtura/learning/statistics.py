r"""The E-step over all rows: sums of expected statistics, block by block.

.. math:: s(\theta) = \sum_{\text{blocks}} \sum_n \mathbb E\big[T(x_n, z_n) \mid x_n; \theta\big].

Statistics form a monoid, so the order and size of the blocks do not matter beyond rounding.
"""

from __future__ import annotations

from functools import reduce
from operator import add

import torch

from ..components import Labels, Statistics
from ..data import Rows
from ..mixture import Mixture

__all__ = ["block_size", "expect"]

_BLOCK_BYTES = 2**25  # blocks of 32 MiB: large beside a call's overhead, small beside memory


def expect(mixture: Mixture, rows: Rows, labels: Labels) -> Statistics:
    """Returns the summed statistics of all rows under the mixture.

    Arguments:
        mixture: A mixture of any batch shape; the whole batch goes through the rows in one pass.
        rows: The rows.
        labels: The labels rule; `soft` gives the E-step of EM.
    """
    blocks = rows.blocks(block_size(rows))
    with torch.no_grad():
        return reduce(add, (mixture.components.expect(mixture.logits, x, weight, labels) for x, weight in blocks))


def block_size(rows: Rows) -> int:
    """Returns how many rows a learner reads at a time."""
    row_bytes = max(1, rows.features) * torch.finfo(rows.dtype).bits // 8
    return max(1024, _BLOCK_BYTES // row_bytes)
