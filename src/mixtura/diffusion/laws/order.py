r"""What is known of the clean draw given the noisy one, :math:`p(x_0|x_t) = \sum_k r_k N(m_k, C_k)`, in whatever order
the sums over components cost least.

An `Order` prepares what depends neither on rows nor on the time, and a `Part` holds some rows at one time:

.. math:: E = \sum_k r_k m_k, \qquad
    \mathrm{Cov}[x_0|x_t]\,v = \sum_k r_k C_k v + \sum_k q_k (m_k - E), \qquad q_k = r_k\,(m_k - E)^\top v,

and no matrix of D × D numbers is made for a row. There are three orders: `by_coordinates` where coordinates are on
their own, `by_axes` where the components' axes are at hand, and `by_means` for all else.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Callable, Iterable, Iterator
from functools import cached_property
from operator import attrgetter

import torch
from torch import Generator, Tensor

from ...mixture import Mixture
from .noised import noised

__all__ = ["Order", "Part", "at_a_time", "telling", "together"]

_LEAST = 64  # rows at a time, for which a matrix is worth its reading
_NUMBERS = 2**19  # of the components' means that are held at a time: about what caches keep, and work for two threads


class Part(ABC):
    """Some rows of one mixture and :math:`p(x_0|x_t)` of each, by component.

    ``joint`` has the log responsibilities up to a constant, ``(n, *B, K)``.
    """

    joint: Tensor

    @cached_property
    def share(self) -> Tensor:
        """The responsibilities, ``(n, *B, K)``."""
        return telling(torch.softmax(self.joint, -1))

    @cached_property
    def mean(self) -> Tensor:
        """The means of the clean draws, E, ``(n, *B, D)``."""
        return self.average(self.share)

    @property
    @abstractmethod
    def covariance(self) -> Callable[[Tensor], Tensor]:
        """What multiplies one vector for each row by its covariance."""

    @abstractmethod
    def average(self, weight: Tensor) -> Tensor:
        """Returns the sums of the components' means under weights ``(n, *B, K)``."""

    @abstractmethod
    def draws(self, weight: Tensor, noise: Tensor) -> Tensor:
        """Returns the sums of the components' draws under weights ``(n, *B, K)``, made of noise ``(n, *B, D)``."""

    @abstractmethod
    def images(self, matrix: Tensor) -> Tensor:
        """Returns the components' means seen through a matrix ``(M, D)``: ``(n, *B, K, M)``."""

    @abstractmethod
    def crossed(self, matrix: Tensor) -> Tensor:
        """Returns the components' covariances, which all rows share, times the matrix's rows: ``(*B, K, M, D)``."""

    def drawn(self, generator: Generator | None) -> Tensor:
        """Returns draws of the clean draws, ``(n, *B, D)``."""
        label = torch.multinomial(self.share.flatten(0, -2), 1, generator=generator)
        return self.of_components(label.reshape(self.share.shape[:-1]), generator)

    def of_components(self, label: Tensor, generator: Generator | None) -> Tensor:
        """Returns a draw of one component for each row, ``(n, *B)``."""
        one = torch.nn.functional.one_hot(label, self.share.shape[-1]).to(self.share.dtype)
        like, shape = self.mean, self.mean.shape
        return self.draws(one, torch.randn(shape, dtype=like.dtype, device=like.device, generator=generator))


class Order(ABC):
    """A mixture of clean draws, prepared once for rows at any time.

    Arguments:
        mixture: The law of the clean draw, in its own axes.
    """

    def __init__(self, mixture: Mixture) -> None:
        self.mixture = mixture

    @abstractmethod
    def parts(self, alpha: Tensor, variance: Tensor, rows: Tensor) -> Iterator[Part]:
        """Yields rows ``(N, *T, *B, D)``, some at a time, by signal and variance ``(*T, *1)``."""

    def mean(self, alpha: Tensor, variance: Tensor, rows: Tensor) -> Tensor:
        """Returns the means of the clean draws for rows ``(*S, *T, *B, D)``, in their shape."""
        return together(map(attrgetter("mean"), self.parts(alpha, variance, self.flat(alpha, rows))), rows)

    def score(self, alpha: Tensor, variance: Tensor, rows: Tensor) -> Tensor:
        """Returns the gradients of the log-density at such rows: the law's at the time, unless axes are at hand."""
        seen = noised(self.mixture, alpha, variance)
        return seen.components.gaussian.mixture_score(seen.logits, rows)

    def moments(self, alpha: Tensor, variance: Tensor, rows: Tensor) -> tuple[Tensor, Callable[[Tensor], Tensor]]:
        """Returns the means, and what multiplies vectors ``(*L, *S, *B, D)`` by the covariances."""
        flat = self.flat(alpha, rows)

        def times(vectors: Tensor) -> Tensor:
            several, each, begin = (
                vectors.reshape(vectors.shape[: vectors.ndim - rows.ndim].numel(), *flat.shape),
                [],
                0,
            )
            for part in self.parts(alpha, variance, flat):  # anew: what a part knows of its rows is more than the rows
                end, by = begin + len(part.share), part.covariance
                each.append(torch.stack([by(v) for v in several[:, begin:end]]))
                begin = end
            return torch.cat(each, 1).reshape(vectors.shape)

        return self.mean(alpha, variance, rows), times

    def flat(self, alpha: Tensor, rows: Tensor) -> Tensor:
        """Rows ``(*S, *T, *B, D)`` as ``(N, *T, *B, D)``."""
        inner = max(alpha.ndim, len(self.mixture.batch_shape)) + 1
        return rows.reshape(-1, *rows.shape[rows.ndim - inner :])


def at_a_time(rows: Tensor, each: int) -> tuple[Tensor, ...]:
    """Returns as many rows at a time as stay in the cache, where each takes so many numbers."""
    return rows.split(max(_LEAST, _NUMBERS // max(1, each)))


def together(found: Iterable[Tensor], rows: Tensor) -> Tensor:
    """Returns what is found of parts, one after the other, in the shape of all rows."""
    first, *others = found
    return (torch.cat([first, *others]) if others else first).reshape(rows.shape)


def telling(share: Tensor) -> Tensor:
    """Responsibilities without those far below rounding: products with numbers near underflow take a hundred times."""
    return torch.nn.functional.threshold(share, torch.finfo(share.dtype).tiny ** 0.5, 0.0)
