r"""Mean, variance and range of every column in one pass, without cancellation.

Block b with total weight :math:`W_b`, mean :math:`m_b` and squares about it :math:`S_b` joins what was seen
before as

.. math::
    m = m_a + \delta \frac{W_b}{W_a + W_b}, \quad
    S = S_a + S_b + \delta^2 \frac{W_a W_b}{W_a + W_b}, \quad \delta = m_b - m_a

(T. F. Chan, G. H. Golub and R. J. LeVeque, 1983, *Algorithms for computing the sample variance*), always in
double precision.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import torch
from torch import Tensor

from mixtura.data.blocks import Block, Rows

__all__ = ["Summary", "recorded_moments", "summary"]

_BESIDE, _WORTH = 1024, 4096  # numbers


@dataclass(frozen=True, eq=False)
class Summary:
    """What one pass tells of N weighted rows: tensors in float64 and of the rows' event shape.

    `count` is the number of rows that count (weight above zero), `weight` their total weight, `variance` the
    weighted mean of squares about `mean`, `minimum` and `maximum` the range of the rows that count.
    """

    count: int
    weight: float
    mean: Tensor
    variance: Tensor
    minimum: Tensor
    maximum: Tensor

    def of(self, columns: int | list[int]) -> Summary:
        """The summary of some columns, or of one as numbers."""
        tensors = (tensor[columns] for tensor in (self.mean, self.variance, self.minimum, self.maximum))
        return Summary(self.count, self.weight, *tensors)

    def __add__(self, other: Summary) -> Summary:
        """The summary of both blocks' rows."""
        weight = self.weight + other.weight
        share = other.weight / weight if weight else 0.0
        step = other.mean - self.mean
        return Summary(
            self.count + other.count,
            weight,
            self.mean + step * share,
            self.variance * (1 - share) + other.variance * share + step.square() * share * (1 - share),
            torch.minimum(self.minimum, other.minimum),
            torch.maximum(self.maximum, other.maximum),
        )


def summary(rows: Rows) -> Summary:
    """Mean, variance and range of every column, weighted, in one pass; NaN where a column has one.

    Rows are merged block by block in float64 on their own device, so float32 rows far from zero lose nothing.

    Example:
        >>> from mixtura.data import rows
        >>> found = summary(rows([1.0, 2.0, 6.0]))
        >>> found.mean.item(), round(found.variance.item(), 12)
        (3.0, 4.666666666667)
    """
    return rows.reduce(_of_block)


def recorded_moments(rows: Rows) -> tuple[Tensor, Tensor]:
    """Weighted mean and variance of every column over what was recorded of it: entries that are not NaN.

    Example:
        >>> from mixtura.data import recorded_moments, rows
        >>> recorded_moments(rows([[1.0, 2.0], [3.0, torch.nan]]))
        (tensor([2., 2.], dtype=torch.float64), tensor([1., 0.], dtype=torch.float64))
    """
    weight, total = rows.reduce(lambda block: _recorded_sums(block, lambda x: x))
    mean = total / weight
    return mean, rows.reduce(lambda block: _recorded_sums(block, lambda x: (x - mean).square()))[1] / weight


def _recorded_sums(block: Block, function: Callable[[Tensor], Tensor]) -> Tensor:
    x = block.x.detach().double()
    weight = block.weights.double().reshape(-1, *(1,) * (x.ndim - 1)) * ~x.isnan()
    return torch.stack([weight.expand(x.shape).sum(0), torch.where(weight > 0, weight * function(x), 0).sum(0)])


def _nothing(x: Tensor) -> Summary:
    like = torch.zeros(x.shape[1:], dtype=torch.float64, device=x.device)
    return Summary(0, 0.0, like, like, like + torch.inf, like - torch.inf)


def _of_block(block: Block) -> Summary:
    x = block.x.detach().double()
    if not len(x):
        return _nothing(x)
    if block.weight is None:
        mean = x.mean(0)
        return Summary(len(x), float(len(x)), mean, (x - mean).square_().mean(0), *_range(x))
    return _weighted(x, block.weight.double())


def _range(x: Tensor) -> tuple[Tensor, Tensor]:
    """The least and the largest of every column; of many rows side by side, which torch compares together."""
    if x.numel() < _WORTH:
        return x.amin(0), x.amax(0)
    beside = max(1, min(len(x), _BESIDE // max(1, x[0].numel())))
    wide, rest = x[: len(x) // beside * beside].reshape(-1, beside, *x.shape[1:]), x[len(x) // beside * beside :]
    few = torch.cat((wide.amin(0), wide.amax(0), rest))
    return few.amin(0), few.amax(0)


def _weighted(x: Tensor, weight: Tensor) -> Summary:
    counts = weight > 0
    share = (weight / weight.sum().clamp_min(torch.finfo(weight.dtype).tiny)).reshape(-1, *[1] * (x.ndim - 1))
    inert = ~counts.reshape(share.shape)
    mean = (share * x).sum(0)
    gap = (x - mean).masked_fill(inert, 0.0)  # its square may overflow, and zero times infinity is NaN
    variance = (share * gap.square()).sum(0)
    low, high = x.masked_fill(inert, torch.inf).amin(0), x.masked_fill(inert, -torch.inf).amax(0)
    return Summary(int(counts.sum()), weight.sum().item(), mean, variance, low, high)
