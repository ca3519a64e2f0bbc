r"""The sums over rows from which every learner works.

With responsibilities :math:`r_{nk}` (row weight times belief that row n comes from component k),

.. math:: \ell = \sum_n w_n \log p(x_n), \qquad N_k = \sum_n r_{nk}, \qquad M_k = \sum_n r_{nk} T_k(x_n),

where :math:`T_k` are the family's own sufficient statistics, taken about the current parameters where the family
centres them. Adding the statistics of two blocks gives the statistics of both: they form a monoid, so the same code
serves an array, a file larger than memory and a cluster.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

from torch import Tensor

__all__ = ["Statistics"]


@dataclass(frozen=True, eq=False)
class Statistics:
    """Sums over rows for a batch of mixtures with batch shape ``B`` and K components.

    Arguments:
        log_likelihood: The weighted log-likelihood :math:`\\ell`, in nats, with shape ``B``.
        weight: The responsibility sums :math:`N_k`, with shape ``(*B, K)``.
        moments: The family's own sums :math:`M_k`, each with leading shape ``(*B, K)`` (``(*B, 1)`` where shared).

    Example:
        >>> one = mx.learning.Statistics(torch.tensor(-1.0), torch.tensor([1.0, 2.0]), (torch.tensor([3.0, 4.0]),))
        >>> (one + one).weight
        tensor([2., 4.])
    """

    log_likelihood: Tensor
    weight: Tensor
    moments: tuple[Tensor, ...]

    def __add__(self, other: Statistics) -> Statistics:
        return Statistics(
            self.log_likelihood + other.log_likelihood,
            self.weight + other.weight,
            tuple(mine + theirs for mine, theirs in zip(self.moments, other.moments, strict=True)),
        )

    def map(self, function: Callable[[Tensor], Tensor]) -> Statistics:
        """Returns the statistics with a function applied to each tensor."""
        return Statistics(function(self.log_likelihood), function(self.weight), tuple(map(function, self.moments)))

    def scale(self, factor: float) -> Statistics:
        """Returns the statistics multiplied by a number: the decay of online learning."""
        return self.map(lambda tensor: tensor * factor)
