r"""The covariance of the clean draw given the noisy one, times vectors.

With responsibilities :math:`r_k`, means :math:`m_k` and covariances :math:`C_k` of :math:`p(x_0|x_t)` by component,

.. math:: \mathrm{Cov}[x_0|x_t]\,v = \sum_k r_k\big(C_k v + (m_k - E)(m_k - E)^\top v\big), \qquad
    E = \sum_k r_k m_k,

about the mean, so that nothing cancels; :math:`C_k v` is an answer of each covariance structure, and no matrix of
D × D numbers is made for a row.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING

import torch
from torch import Tensor

from .earlier import Earlier

if TYPE_CHECKING:
    from ...mixture import Mixture

__all__ = ["moments"]

_NUMBERS = 2**21  # of the components' means that are worked on at a time


def moments(
    mixture: Mixture, alpha: Tensor, variance: Tensor, rows: Tensor
) -> tuple[Tensor, Callable[[Tensor], Tensor]]:
    """Returns the mean of the clean draw for rows ``(*S, *B, D)``, and what multiplies by its covariance.

    Arguments:
        mixture: The law of the clean draw, of batch shape B.
        alpha: The signal at a time, without dimensions.
        variance: The noise's, likewise.
        rows: The noisy draws.
    """
    earlier = Earlier(mixture.components.gaussian, alpha, variance)
    outer = rows.ndim - len(mixture.batch_shape) - 1
    size = max(1, _NUMBERS // max(1, mixture.components.gaussian.location.numel()))
    parts = [_Part(earlier, mixture.logits, some) for some in rows.reshape(-1, *rows.shape[outer:]).split(size)]

    def times(vectors: Tensor) -> Tensor:
        flat = vectors.reshape(-1, *rows.shape).flatten(1, outer) if outer else vectors.reshape(-1, 1, *rows.shape)
        found = [part.times(some) for part, some in zip(parts, flat.split(size, 1), strict=True)]
        return torch.cat(found, 1).reshape(vectors.shape)

    return torch.cat([part.mean for part in parts]).reshape(rows.shape), times


class _Part:
    """Some rows, and how far the means of the components are from the mean of all."""

    def __init__(self, earlier: Earlier, logits: Tensor, rows: Tensor) -> None:
        evidence, means = earlier.means(rows)
        self.earlier, self.share = earlier, torch.softmax(logits + evidence, -1).unsqueeze(-2)
        mean = self.share @ means
        self.mean, self.apart = mean.squeeze(-2), means - mean

    def times(self, vectors: Tensor) -> Tensor:
        return torch.stack([self._times(one) for one in vectors])

    def _times(self, vector: Tensor) -> Tensor:
        along = self.share * (self.apart @ vector.unsqueeze(-1)).mT
        return (self.share @ self.earlier.within(vector) + along @ self.apart).squeeze(-2)
