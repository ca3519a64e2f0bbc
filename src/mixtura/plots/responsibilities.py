r"""Whose row is it: every row in the mixed colour of its responsibilities,

.. math:: c_n = \sum_k r_{nk} c_k .
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

import torch
from torch import Tensor

from ..errors import refuse
from .density import draw_points
from .ellipses import draw_ellipses
from .style import color, matplotlib, new_axes, style, write_number
from .subject import Model, Subject, Window, subject

if TYPE_CHECKING:
    from matplotlib.axes import Axes

__all__ = ["mixed_colors", "responsibilities"]


@style()
def responsibilities(
    model: Model,
    x: Any = None,
    ax: Axes | None = None,
    dims: Sequence[int] = (0, 1),
    columns: Sequence[str] | None = None,
) -> Axes:
    """Draws the rows in two columns, each in its components' colours mixed by its responsibilities.

    A row that belongs to one component has that component's colour; one between two has a colour between. In a
    mixture of one column, the responsibilities themselves are drawn over the line, stacked up to 1.

    Arguments:
        model: A mixture, a fit (which brings its rows) or a selection (its best fit).
        x: Rows in any form that `fit` takes.
        ax: Where to draw; a new figure by default.
        dims: Which two columns to show; the responsibilities are those given all columns.
        columns: Names of all columns for the labels.

    Raises:
        MixtureError: If there are no rows to draw, or ``dims`` are not two columns.
        ImportError: If matplotlib is not installed.

    Example:
        >>> ax = mx.plots.responsibilities(mx.fit(mx.datasets.old_faithful(), components=2))
        >>> len(ax.collections[0].get_facecolors())
        272
    """
    about = subject(model, x, columns)
    if about.features == 1:
        return _stacked(about, new_axes(ax))
    if len(dims) != 2 or not all(0 <= d < about.features for d in dims):
        refuse("dims", f"two columns between 0 and {about.features - 1}", tuple(dims))
    if about.rows is None:
        refuse("x", "given beside a mixture", "none", "A fit brings its own rows.")
    return _scattered(about, list(dims), new_axes(ax))


def mixed_colors(r: Tensor) -> Tensor:
    """The colours of rows with responsibilities ``(n, K)``: red, green and blue between 0 and 1, ``(n, 3)``."""
    to_rgb = matplotlib().colors.to_rgb
    own = torch.tensor([to_rgb(color(k)) for k in range(r.shape[-1])], dtype=r.dtype)
    return (r @ own).clamp(0, 1)


def _scattered(about: Subject, dims: list[int], ax: Axes) -> Axes:
    points, _ = about.points()
    pair = about.pair(dims)
    draw_points(ax, points[:, dims], mixed_colors(about.log_joint(points).softmax(-1)).numpy())
    draw_ellipses(ax, pair.mixture, scales=(2,))
    ax.set_xlabel(pair.names[0])
    ax.set_ylabel(pair.names[1])
    return ax


def _stacked(about: Subject, ax: Axes) -> Axes:
    points, _ = about.points()
    grid = Window.of(points, about.mixture).line(0, 600)
    r = about.log_joint(grid).softmax(-1)
    colors = [color(k) for k in range(r.shape[-1])]
    ax.stackplot(grid.numpy(), r.T.numpy(), colors=colors, alpha=0.8, lw=0)
    for k in range(r.shape[-1]):
        middle = (grid * r[:, k]).sum() / r[:, k].sum().clamp_min(1e-300)
        at = int((grid - middle).abs().argmin())
        write_number(ax, k, float(grid[at]), float(r[at, :k].sum() + r[at, k] / 2))
    ax.set_xlim(float(grid[0]), float(grid[-1]))
    ax.set_ylim(0, 1)
    ax.set_xlabel(about.names[0])
    ax.set_ylabel("responsibility")
    return ax
