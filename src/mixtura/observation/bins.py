"""Values of which only the bin is known: rounded ones, and histograms."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, Self

import torch
from torch import Generator, Tensor

from ..components import Component
from ..components.observation import Frame
from ..errors import refuse
from .box import Box, as_rows, beside, placed
from .noise import nonnegative

__all__ = ["Binned", "Rounded"]


@dataclass(frozen=True, eq=False, repr=False, init=False)
class Rounded(Box):
    """Values recorded to the nearest multiple of a step.

    Arguments:
        step: The step, a number or ``(D,)`` per coordinate; zero where a coordinate is not rounded.

    The density of a recorded value is the probability of what rounds to it. See `Box` for what is exact.

    Raises:
        MixtureError: If a step is negative.

    Example:
        >>> clean = mx.Mixture(torch.ones(1), mx.Normal(torch.zeros(1), torch.ones(1)))
        >>> clean.observed(mx.observation.Rounded(1.0)).log_prob(torch.tensor(0.0)).exp()
        tensor(0.3829)
    """

    step: Tensor
    missing: bool

    def __init__(self, step: Any) -> None:
        object.__setattr__(self, "step", nonnegative("step", step))
        object.__setattr__(self, "missing", False)

    def resolve(self, frame: Frame) -> Self:
        return self if self.step.ndim == 3 else self._replace(step=placed("step", self.step, frame, False))

    def limits(self, y: Tensor, components: Component) -> tuple[Tensor, Tensor]:
        half = beside(self.step, y, components) / 2
        return y - half, y + half

    def record(self, x: Tensor, labels: Tensor, generator: Generator | None, components: Component | None) -> Tensor:
        step = as_rows(self.step, x, labels)
        return torch.where(step > 0, (x / step).round() * step, x)


@dataclass(frozen=True, eq=False, repr=False, init=False)
class Binned(Box):
    """Values of which only the bin is known: a histogram.

    Arguments:
        edges: The edges of the bins, rising, ``(J + 1,)``; for vectors one such tensor per coordinate. The first and
            the last may be infinite. What lies outside was not recorded.
        counts: How many rows fell into each bin, ``(J,)`` or ``(J_1, ..., J_D)``. With them
            ``mx.fit(None, K, observation=Binned(edges, counts))`` fits the histogram; without them rows are values, of
            which only the bin is used.

    The fit maximises the multinomial likelihood of the counts (McLachlan and Jones, 1988). See `Box` for what is exact.

    Raises:
        MixtureError: If edges do not rise or are NaN, or counts are negative or not one per bin.

    Example:
        >>> edges = torch.tensor([-torch.inf, -1.0, 0.0, 1.0, torch.inf], dtype=torch.float64)
        >>> seen = mx.observation.Binned(edges, torch.tensor([159, 341, 341, 159]))
        >>> fit = mx.fit(None, 1, observation=seen)
        >>> fit.mixture.variance.round(decimals=2)
        tensor(1., dtype=torch.float64)
    """

    edges: tuple[Tensor, ...]
    counts: Tensor | None
    missing: bool

    def __init__(self, edges: Any, counts: Any = None) -> None:
        vectors = isinstance(edges, (tuple, list)) and len(edges) > 0 and not isinstance(edges[0], (int, float))
        placed = tuple(_rising(one) for one in (edges if vectors else [edges]))
        if counts is not None:
            counts = nonnegative("counts", counts)
            bins = tuple(len(one) - 1 for one in placed)
            if tuple(counts.shape) != bins:
                refuse("counts", f"one number per bin, shape {bins}", f"shape {tuple(counts.shape)}")
        object.__setattr__(self, "edges", placed)
        object.__setattr__(self, "counts", counts)
        object.__setattr__(self, "missing", False)

    @property
    def held(self) -> tuple[Tensor, Tensor] | None:
        """The bins as rows ``(J,)`` or ``(J, D)``, at their middles, and their counts as weights."""
        if self.counts is None:
            return None
        middles = [_middles(one) for one in self.edges]
        rows = torch.cartesian_prod(*middles)
        return rows, self.counts.reshape(-1)

    def resolve(self, frame: Frame) -> Self:
        if len(self.edges) != frame.features:
            refuse("edges", f"one tensor for each of {frame.features} coordinates", len(self.edges))
        return self._replace(edges=tuple(one.to(frame.device, frame.dtype) for one in self.edges), counts=None)

    @property
    def led(self) -> tuple[Tensor, ...]:
        return ()

    def at(self, side: Sequence[Tensor]) -> Self:
        return self

    def map(self, function: Any) -> Self:
        """Returns itself: edges are the same for all rows and components."""
        return self

    def selection(self) -> tuple[Tensor, Tensor]:
        low, high = (torch.stack([one[end] for one in self.edges])[None, None] for end in (0, -1))
        return low, high

    def limits(self, y: Tensor, components: Component) -> tuple[Tensor, Tensor]:
        ends = [_bin(one, y[..., d]) for d, one in enumerate(self.edges)]
        low, high = zip(*ends, strict=True)
        return torch.stack(low, -1), torch.stack(high, -1)

    def record(self, x: Tensor, labels: Tensor, generator: Generator | None, components: Component | None) -> Tensor:
        rows = x if x.ndim > labels.ndim else x.unsqueeze(-1)
        middles = [_middles(one)[_index(one, rows[..., d])] for d, one in enumerate(self.edges)]
        y = torch.stack(middles, -1)
        return y if x.ndim > labels.ndim else y.squeeze(-1)


def _rising(edges: Any) -> Tensor:
    tensor = torch.as_tensor(edges, dtype=None if isinstance(edges, Tensor) else torch.float64)
    tensor = tensor if tensor.is_floating_point() else tensor.double()
    if tensor.ndim != 1 or len(tensor) < 2 or not bool((tensor.diff() > 0).all()):
        refuse(
            "edges", "at least two rising numbers", f"{tensor.tolist() if tensor.numel() < 9 else tuple(tensor.shape)}"
        )
    return tensor


def _middles(edges: Tensor) -> Tensor:
    """The middle of each bin; of one without end, a point as far in as the mean width."""
    inner = edges[edges.isfinite()]
    width = inner.diff().mean() if len(inner) > 1 else edges.new_ones(())
    bounded = edges.clone()
    if bool(bounded[0].isinf()):
        bounded[0] = inner[0] - width
    if bool(bounded[-1].isinf()):
        bounded[-1] = inner[-1] + width
    return (bounded[1:] + bounded[:-1]) / 2


def _index(edges: Tensor, values: Tensor) -> Tensor:
    return (torch.searchsorted(edges, values.contiguous(), right=True) - 1).clamp(0, len(edges) - 2)


def _bin(edges: Tensor, values: Tensor) -> tuple[Tensor, Tensor]:
    index = _index(edges, values)
    return edges[index], edges[index + 1]
