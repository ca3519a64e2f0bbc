r"""The density: in one dimension with a histogram, in two as contours of :math:`\log p` over the rows."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

import numpy
import torch
from torch import Tensor

from ..errors import refuse
from .ellipses import draw_ellipses
from .style import DATA, INK, color, new_axes, style, write_number
from .subject import Model, Subject, Window, subject

if TYPE_CHECKING:
    from matplotlib.axes import Axes

__all__ = ["density", "draw_line", "draw_plane", "draw_points"]

_LEVELS = (8.0, 6.5, 5.0, 3.5, 2.25, 1.25, 0.5)  # nats below the highest density shown


@style()
def density(model: Model, x: Any = None, ax: Axes | None = None, columns: Sequence[str] | None = None) -> Axes:
    """Draws the density of one or two columns, with the rows.

    One column: a histogram of the rows, the density, and each component's density times its weight. Two columns: the
    rows, contours of the log-density 0.5, 1.25, 2.25, 3.5, 5, 6.5 and 8 nats below its highest value, and the
    components' `ellipses`. Above 5000 rows, a random sample of 5000 is drawn.

    Arguments:
        model: A mixture, a fit (which brings its rows) or a selection (its best fit).
        x: Rows in any form that `fit` takes; none draws the density alone.
        ax: Where to draw; a new figure by default.
        columns: Names of the columns for the labels.

    Raises:
        MixtureError: If there are more than two columns; see `corner`.
        ImportError: If matplotlib is not installed.

    Example:
        >>> fit = mx.fit(mx.datasets.old_faithful(), components=2)
        >>> mx.plots.density(fit, columns=("eruptions", "waiting")).get_ylabel()
        'waiting'
    """
    about = subject(model, x, columns)
    if about.features not in _DRAWN:
        refuse("model", "of one or two columns", about.features, "Use `corner`, or `mixture.marginal([0, 1])`.")
    return _DRAWN[about.features](about, new_axes(ax))


def _line(about: Subject, ax: Axes) -> Axes:
    points, weight = about.points()
    draw_line(ax, about, points[:, 0], weight, Window.of(points, about.mixture))
    ax.set_xlabel(about.names[0])
    ax.set_ylabel("density")
    return ax


def _plane(about: Subject, ax: Axes) -> Axes:
    points, _ = about.points()
    draw_plane(ax, about, points, Window.of(points, about.mixture))
    ax.set_xlabel(about.names[0])
    ax.set_ylabel(about.names[1])
    return ax


_DRAWN = {1: _line, 2: _plane}


def draw_line(
    ax: Axes, about: Subject, values: Tensor, weight: Tensor | None, window: Window, number: bool = True
) -> None:
    """Draws histogram, density and components of one column."""
    if len(values):
        ax.hist(values.numpy(), _bins(values), density=True, weights=_array(weight), color="#dfe3e6", zorder=0)
    grid = _grid(window, about)
    parts = about.log_joint(grid).exp()
    (line,) = ax.plot(grid.numpy(), parts.sum(-1).numpy(), color=INK, zorder=3)
    line.sticky_edges.y.append(0)  # no margin below zero, and axes that share theirs still fit all
    for k in range(parts.shape[-1]):
        ax.plot(grid.numpy(), parts[:, k].numpy(), color=color(k), lw=1.1, zorder=2)
        top = int(parts[:, k].argmax())
        if number and parts[top, k] > 0.01 * parts.sum(-1).max():
            write_number(ax, k, float(grid[top]), float(parts[top, k]))
    ax.set_xlim(float(grid[0]), float(grid[-1]))


def draw_plane(ax: Axes, about: Subject, points: Tensor, window: Window, number: bool = True, cells: int = 160) -> None:
    """Draws rows, contours and ellipses of two columns."""
    horizontal, vertical = window.line(0, cells), window.line(1, cells)
    grid = torch.cartesian_prod(horizontal, vertical)
    values = about.log_prob(grid).reshape(cells, cells).T
    draw_points(ax, points)
    if values.max().isfinite():  # between counts there is no density
        levels = [float(values.max()) - below for below in _LEVELS]
        ax.contour(
            horizontal, vertical, values.numpy(), levels=levels, colors="#b4bac0", linewidths=0.6, linestyles="solid"
        )
    draw_ellipses(ax, about.mixture, number=number)
    ax.set_xlim(float(window.low[0]), float(window.high[0]))
    ax.set_ylim(float(window.low[1]), float(window.high[1]))


def draw_points(ax: Axes, points: Tensor, colors: Any = DATA) -> None:
    """Draws rows ``(n, 2)`` as dots: smaller the more there are, and as one image where they are many."""
    size = max(1.5, min(12.0, 4000 / max(1, len(points))))
    many = len(points) > 1500
    ax.scatter(*points.T.numpy(), s=size, c=colors, alpha=0.75, linewidths=0, zorder=1, rasterized=many)


def _grid(window: Window, about: Subject) -> Tensor:
    """Equally spaced values, and some around every mean: a narrow component falls between the former."""
    family = about.mixture.components
    mean, scale = family.mean.reshape(-1, 1), family.variance.sqrt().reshape(-1, 1)
    near = (mean + scale * torch.linspace(-4, 4, 33, dtype=mean.dtype)).flatten()
    inside = near[(near > window.low) & (near < window.high)]
    return torch.cat([window.line(0, 600), inside]).sort().values


def _bins(values: Tensor) -> Any:
    """Freedman's and Diaconis' bins, at most 80 of them: rounded values would else give a comb."""
    edges = numpy.histogram_bin_edges(values.numpy(), "auto")
    return edges if len(edges) <= 81 else numpy.linspace(edges[0], edges[-1], 81)


def _array(weight: Tensor | None) -> Any:
    return None if weight is None else weight.numpy()
