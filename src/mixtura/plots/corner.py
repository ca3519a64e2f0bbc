"""More than two columns: every column's marginal on the diagonal, every pair's below it."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

from torch import Tensor

from ..errors import refuse
from ..mixture import Mixture
from .density import draw_line, draw_plane
from .style import matplotlib, style
from .subject import Model, Subject, Window, subject

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

__all__ = ["corner", "telling"]


@style()
def corner(
    model: Model,
    x: Any = None,
    dims: Sequence[int] | None = None,
    figure: Figure | None = None,
    columns: Sequence[str] | None = None,
) -> Figure:
    """Draws marginal densities of single columns and of pairs, with the rows.

    On the diagonal: histogram, density and weighted components of one column. Below: rows, contours of the
    log-density and component ellipses at 1 and 2 standard deviations (39.3 and 86.5 per cent of a component).

    Arguments:
        model: A mixture, a fit (which brings its rows) or a selection (its best fit), of two columns or more.
        x: Rows in any form that `fit` takes.
        dims: Which columns, in order; all by default. See `telling` for a choice.
        figure: An empty figure to draw in; a new one by default.
        columns: Names of all columns for the labels.

    Raises:
        MixtureError: If ``dims`` are not at least two different columns.
        NotClosedForm: If the components have no marginals.
        ImportError: If matplotlib is not installed.

    Example:
        >>> figure = mx.plots.corner(mx.fit(mx.datasets.old_faithful(), components=2))
        >>> len(figure.axes)
        3
    """
    about = subject(model, x, columns)
    wanted = list(range(about.features)) if dims is None else list(dims)
    if len(set(wanted)) != len(wanted) or len(wanted) < 2 or not set(wanted) <= set(range(about.features)):
        refuse("dims", f"at least two different columns between 0 and {about.features - 1}", tuple(wanted))
    figure = _new_figure(len(wanted)) if figure is None else figure
    _fill(figure, about, wanted)
    return figure


def telling(mixture: Mixture, most: int) -> list[int]:
    """The columns, at most that many and in their order, in which the components' means differ most.

    The measure is the share of a column's variance that lies between the components, not within.

    Example:
        >>> means = torch.tensor([[0.0, 0.0, 5.0], [0.0, 3.0, 0.0]])
        >>> mixture = mx.Mixture(torch.ones(2), mx.Gaussian(means, torch.eye(3).expand(2, 3, 3)))
        >>> mx.plots.telling(mixture, 2)
        [1, 2]
    """
    within = (mixture.weights[:, None] * mixture.components.variance).sum(0)
    order = (within / mixture.variance).argsort(stable=True)
    return sorted(order[:most].tolist())


def _fill(figure: Figure, about: Subject, wanted: list[int]) -> None:
    points, weight = about.points()
    grid = figure.subplots(len(wanted), len(wanted), squeeze=False)
    for row, i in enumerate(wanted):
        for column, j in enumerate(wanted):
            ax = grid[row, column]
            if column > row:
                ax.remove()
                continue
            _panel(ax, about, points, weight, [j, i] if j != i else [i])
            _label(ax, about, (row, column), (i, j), len(wanted))


def _panel(ax: Axes, about: Subject, points: Tensor, weight: Tensor | None, dims: list[int]) -> None:
    part = about.pair(dims)
    window = Window.of(points[:, dims], part.mixture)
    if len(dims) == 1:
        draw_line(ax, part, points[:, dims[0]], weight, window, number=False)
        ax.set_yticks([])
        ax.spines["left"].set_visible(False)
    else:
        draw_plane(ax, part, points[:, dims], window, cells=100)


def _label(ax: Axes, about: Subject, at: tuple[int, int], dims: tuple[int, int], count: int) -> None:
    (row, column), (i, j) = at, dims
    ax.locator_params(nbins=4)
    ax.tick_params(labelsize=7)
    if row == count - 1:
        ax.set_xlabel(about.names[j])
    else:
        ax.tick_params(labelbottom=False)
    if column == 0 and row > 0:
        ax.set_ylabel(about.names[i])
    elif row != column:
        ax.tick_params(labelleft=False)


def _new_figure(count: int) -> Figure:
    matplotlib()
    from matplotlib import pyplot

    size = max(4.0, 1.9 * count)
    return pyplot.figure(figsize=(size, size))
