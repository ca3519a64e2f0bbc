"""Distributions that were foretold, and what came: bands, probability integral transforms, coverage."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import torch
from torch import Tensor

from ..errors import refuse
from ..mixture import Mixture
from ..scoring import central_interval, pit_histogram, quantiles
from ..scoring.targets import observed_targets
from .style import DATA, INK, PALETTE, new_axes, style

if TYPE_CHECKING:
    from matplotlib.axes import Axes

__all__ = ["bands", "coverage", "pit"]

_SHADES = ((0.9, 0.18), (0.5, 0.32))  # levels, and how dark they are
_GRID = 200
_MOST = 5000  # rows drawn
_CURVE = 19  # levels of the curve of coverage


@style()
def bands(joint: Mixture, x: Any = None, y: Any = None, ax: Axes | None = None) -> Axes:
    """Draws the second column of a mixture given the first: the median, and what holds 50 and 90 per cent.

    Arguments:
        joint: A mixture of two columns, such as a marginal; its names, if it has some, are the labels.
        x: Rows of the first column, ``(N,)``; they say how far to draw, too.
        y: Rows of the second column, ``(N,)``.
        ax: Where to draw; a new figure by default.

    Raises:
        MixtureError: If the mixture has another number of columns.
        ImportError: If matplotlib is not installed.

    Example:
        >>> fit = mx.fit(mx.datasets.old_faithful(), components=2)
        >>> mx.plots.bands(fit.mixture.named(["eruptions", "waiting"])).get_ylabel()
        'waiting'
    """
    if joint.event_shape != (2,) or joint.batch_shape:
        refuse("joint", "one mixture of two columns", repr(joint), "Take a `marginal` of two.")
    ax = new_axes(ax)
    grid = _grid(joint, x)
    given = joint.condition([0], grid.unsqueeze(-1))
    if x is not None and y is not None:
        rows = torch.as_tensor(x), torch.as_tensor(y)
        some = torch.randperm(len(rows[0]), generator=torch.Generator().manual_seed(0))[:_MOST]
        ax.plot(*(one[some].numpy() for one in rows), ".", ms=2.5, color=DATA, alpha=0.6, rasterized=len(some) > 2000)
    for level, shade in _SHADES:
        low, high = (end.squeeze(-1).numpy() for end in central_interval(given, level))
        label = f"{100 * level:.0f} %"
        ax.fill_between(grid.numpy(), low, high, color=PALETTE[0], alpha=shade, lw=0, label=label)
    ax.plot(grid.numpy(), quantiles(given, [0.5]).flatten().numpy(), color=PALETTE[0], label="median")
    names = joint.columns or ("x", "y")
    ax.set_xlabel(names[0])
    ax.set_ylabel(names[1])
    return ax


@style()
def pit(values: Tensor, weight: Tensor | None = None, bins: int = 10, ax: Axes | None = None) -> Axes:
    """Draws the histogram of probability integral transforms: level where the distributions are true.

    The band holds two standard errors of a uniform share. A hump says too wide, a trough too narrow, a slope shifted.

    Arguments:
        values: What `mixtura.scoring.pit` returned.
        weight: How much each counts, in the same shape.
        bins: The number of bins.
        ax: Where to draw; a new figure by default.

    Raises:
        MixtureError: If there are no values, or some outside of [0, 1].
        ImportError: If matplotlib is not installed.

    Example:
        >>> mx.plots.pit(torch.linspace(0, 1, 50)).get_xlabel()
        'probability integral transform'
    """
    found = pit_histogram(values, bins, weight)
    ax = new_axes(ax, height=2.8)
    ax.axhspan(1 - 2 * bins * found.error, 1 + 2 * bins * found.error, color=INK, alpha=0.1, lw=0)
    ax.axhline(1, color=INK, lw=0.8)
    ax.stairs((bins * found.share).numpy(), found.edges.numpy(), fill=True, color=PALETTE[0], alpha=0.55)
    ax.set_ylim(bottom=0)
    ax.set_xlabel("probability integral transform")
    ax.set_ylabel("density")
    return ax


@style()
def coverage(values: Tensor, weight: Tensor | None = None, ax: Axes | None = None) -> Axes:
    """Draws how often central intervals held the target, at every level, beside how often they should.

    A central interval of level c holds the target where its transform is within c / 2 of the middle. The band holds
    two standard errors.

    Arguments:
        values: What `mixtura.scoring.pit` returned for numbers.
        weight: How much each counts, in the same shape.
        ax: Where to draw; a new figure by default.

    Raises:
        ImportError: If matplotlib is not installed.

    Example:
        >>> mx.plots.coverage(torch.linspace(0, 1, 50)).get_xlabel()
        'level'
    """
    ax = new_axes(ax, height=2.8)
    share = torch.ones_like(values) if weight is None else weight.to(values)
    share = share / share.sum()
    levels = torch.linspace(0.05, 0.95, _CURVE, dtype=values.dtype)
    held = (((values - 0.5).abs() <= levels.unsqueeze(-1) / 2) * share).sum(-1)
    error = 2 * (levels * (1 - levels) * share.square().sum()).sqrt()
    ax.fill_between(levels.numpy(), (levels - error).numpy(), (levels + error).numpy(), color=INK, alpha=0.1, lw=0)
    ax.plot([0, 1], [0, 1], color=INK, lw=0.8)
    ax.plot(levels.numpy(), held.numpy(), "o-", ms=3, color=PALETTE[0])
    ax.set_xlabel("level")
    ax.set_ylabel("share held")
    return ax


def _grid(joint: Mixture, x: Any) -> Tensor:
    """Places along the first column: where there are rows, or else where there is probability."""
    if x is not None:
        seen = observed_targets(joint.marginal([0]), torch.as_tensor(x).unsqueeze(-1))
        low, high = seen.min().item(), seen.max().item()
    else:
        low, high = quantiles(joint.marginal([0]), [0.005, 0.995]).flatten().tolist()
    return torch.linspace(low, high, _GRID, dtype=joint.dtype)
