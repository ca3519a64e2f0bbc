r"""Where learning starts: centres of a batch of restarts, found on a sample of the rows.

Greedy k-means++ (Arthur and Vassilvitskii, 2007) draws each next centre with probability proportional to the weighted
squared distance to the nearest centre so far, trying a few candidates and keeping the one that leaves the least
distance. All restarts are drawn together.

An initialiser is any function from rows, row weights, K, the number of restarts and a generator to centres
``(restarts, K, D)``.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Protocol

import numpy as np
import torch
from torch import Generator, Tensor

from ...data import TensorRows
from ..loop.reason import Reason
from ..loop.run import run
from ..methods.kmeans import KMeans, centres

__all__ = ["Initialiser", "KMeansPlusPlus", "KMeansStart", "MixedStart", "RandomRows"]

_FEW = 2**20  # numbers of differences
_TALL = 100  # rows for each column from which on columns are taken one by one
_SAME = 1e-8  # of a standard deviation: rows at one place


class Initialiser(Protocol):
    """A way to choose starting centres."""

    def __call__(
        self, x: Tensor, weight: Tensor, components: int, restarts: int, generator: Generator | None
    ) -> Tensor:
        """Returns centres ``(restarts, K, D)`` for rows ``(N, D)`` with weights ``(N,)``."""
        ...


@dataclass(frozen=True)
class RandomRows:
    """Starts from different rows drawn at random, by weight; from rows that differ where there are enough.

    Example:
        >>> mx.learning.RandomRows()(torch.arange(4.0)[:, None], torch.ones(4), 2, 3, None).shape
        torch.Size([3, 2, 1])
    """

    def __call__(
        self, x: Tensor, weight: Tensor, components: int, restarts: int, generator: Generator | None
    ) -> Tensor:
        chosen = x[torch.multinomial(weight.expand(restarts, -1), components, generator=generator)]
        if not _coincide(chosen):
            return chosen
        places, which = (x[weight > 0] / _SAME).round().unique(dim=0, return_inverse=True)
        weight = weight.new_zeros(len(places)).index_add_(0, which, weight[weight > 0])
        first = torch.multinomial(weight.expand(restarts, -1), min(components, len(places)), generator=generator)
        return _SAME * places[first[:, torch.arange(components) % first.shape[1]]]  # where they are too few, all twice


@dataclass(frozen=True)
class KMeansPlusPlus:
    """Greedy k-means++: each next centre far from those before, the best of a few candidates."""

    def __call__(
        self, x: Tensor, weight: Tensor, components: int, restarts: int, generator: Generator | None
    ) -> Tensor:
        candidates = 2 + int(math.log(components))
        first = torch.multinomial(weight, restarts, replacement=True, generator=generator)
        chosen, nearest = [x[first]], _square_distance(x, x[first])
        for _ in range(components - 1):
            index = torch.multinomial(_possible(nearest * weight, weight), candidates, True, generator=generator)
            tried = torch.minimum(_square_distance(x, x[index]), nearest.unsqueeze(1))
            best = (tried @ weight).argmin(1)
            every = torch.arange(restarts, device=x.device)
            nearest = tried[every, best]
            chosen.append(x[index[every, best]])
        return torch.stack(chosen, 1)


@dataclass(frozen=True)
class KMeansStart:
    """Greedy k-means++ followed by a few iterations of K-means."""

    iterations: int = 10

    def __call__(
        self, x: Tensor, weight: Tensor, components: int, restarts: int, generator: Generator | None
    ) -> Tensor:
        means = KMeansPlusPlus()(x, weight, components, restarts, generator)
        start = centres(means, (x - x.mean(0)).square_().mean())
        floor = torch.zeros_like(x[0])
        method = KMeans(max_iterations=self.iterations, tolerance=0)
        runs = run(method, TensorRows(x, weight), start, floor)
        if any(one.reason is Reason.INTERRUPTED for one in runs):
            raise KeyboardInterrupt  # there is nothing worth keeping yet
        return torch.stack([one.state.components.mean for one in runs])


@dataclass(frozen=True)
class MixedStart:
    """The default: half the restarts from K-means, a quarter from k-means++, a quarter from random rows.

    K-means finds round groups and k-means++ remote ones; random rows put several centres where most of the data are,
    which overlapping and nested groups need.
    """

    def __call__(
        self, x: Tensor, weight: Tensor, components: int, restarts: int, generator: Generator | None
    ) -> Tensor:
        random = restarts // 4
        shares = ((KMeansStart(), restarts - 2 * random), (KMeansPlusPlus(), random), (RandomRows(), random))
        return torch.cat([start(x, weight, components, share, generator) for start, share in shares if share])


def _coincide(centres: Tensor) -> bool:
    """Whether two centres ``(B, K, D)`` of one start are so near each other that they would never part."""
    gap = (centres.unsqueeze(-2) - centres.unsqueeze(-3)).abs().amax(-1)
    return int((gap < _SAME).sum()) > gap.shape[0] * gap.shape[-1]


def _square_distance(x: Tensor, centre: Tensor) -> Tensor:
    """Returns squared distances ``(*M, N)`` from rows ``(N, D)`` to centres ``(*M, D)``."""
    flat = centre.reshape(-1, x.shape[-1])
    few = x.device.type == "cpu" and flat.shape[0] * x.numel() <= _FEW
    found = _few_distances(flat, x) if few else torch.cdist(flat, x).square()
    return found.reshape(*centre.shape[:-1], len(x))


def _few_distances(centre: Tensor, x: Tensor) -> Tensor:
    """The same by numpy, which keeps to one thread: several would wait for each other longer than this takes."""
    if len(x) < _TALL * x.shape[1]:
        gap = centre.numpy()[:, None] - x.numpy()
        return torch.from_numpy(np.einsum("mnd,mnd->mn", gap, gap))
    found = np.zeros((len(centre), len(x)), x.numpy().dtype)
    for column, at in zip(np.ascontiguousarray(x.mT.numpy()), centre.mT.numpy(), strict=True):
        gap = column - at[:, None]
        found += np.square(gap, out=gap)
    return torch.from_numpy(found)


def _possible(mass: Tensor, weight: Tensor) -> Tensor:
    """Falls back to the row weights where every row already lies on a centre."""
    return torch.where(mass.sum(-1, keepdim=True) > 0, mass, weight)
