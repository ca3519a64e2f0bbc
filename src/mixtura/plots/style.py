"""The looks of every figure: one palette and one quiet style, in force only for the length of a call.

The colours are Okabe's and Ito's (2008), which people with any common kind of colour vision can tell apart.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from matplotlib.axes import Axes

__all__ = ["DATA", "INK", "PALETTE", "color", "matplotlib", "new_axes", "style", "write_number"]

PALETTE = ("#0072B2", "#D55E00", "#009E73", "#CC79A7", "#E69F00", "#56B4E9", "#6B4C9A")
INK = "#2b2f33"  # lines that belong to no component, and text
DATA = "#8a9199"  # rows

_STYLE: dict[str, Any] = {
    "axes.edgecolor": "#70757a",
    "axes.labelcolor": INK,
    "axes.linewidth": 0.7,
    "axes.spines.right": False,
    "axes.spines.top": False,
    "axes.titlelocation": "left",
    "axes.titlesize": 9,
    "axes.unicode_minus": True,
    "figure.constrained_layout.use": True,
    "figure.facecolor": "white",
    "font.size": 9,
    "legend.frameon": False,
    "lines.linewidth": 1.4,
    "text.color": INK,
    "xtick.color": "#50555a",
    "ytick.color": "#50555a",
    "xtick.major.width": 0.7,
    "ytick.major.width": 0.7,
}


def matplotlib() -> Any:
    """The matplotlib package; ImportError that says how to get it where it is missing."""
    try:
        import matplotlib
    except ImportError as error:
        raise ImportError("plots need matplotlib, which is not installed; pip install 'mixtura[plots]'") from error
    return matplotlib


@contextmanager
def style() -> Iterator[None]:
    """Puts the house's style in force for a ``with`` block, or for each call of a function it decorates.

    Raises:
        ImportError: If matplotlib is not installed.

    Example:
        >>> with mx.plots.style():
        ...     ax = mx.plots.density(mx.fit(mx.datasets.galaxies(), components=2))
    """
    settings = matplotlib().rcParams
    before = {name: settings[name] for name in _STYLE}
    settings.update(_STYLE)
    try:
        yield
    finally:  # only these: a notebook's backend, started by a first figure in here, has settings of its own to keep
        settings.update(before)


def color(k: int) -> str:
    """The colour of component k."""
    return PALETTE[k % len(PALETTE)]


def new_axes(ax: Axes | None, width: float = 5.2, height: float = 3.6) -> Axes:
    """The axes given, or those of a new figure of this size in inches."""
    if ax is not None:
        return ax
    matplotlib()
    from matplotlib import pyplot

    return pyplot.subplots(figsize=(width, height))[1]


def write_number(ax: Axes, k: int, x: float, y: float) -> None:
    """Writes the number of component k at a point, on a small white disc ringed in the component's colour."""
    disc = {"boxstyle": "circle,pad=0.15", "fc": "white", "ec": color(k), "lw": 0.8, "alpha": 0.9}
    ax.text(x, y, str(k), color=color(k), fontsize=7, ha="center", va="center", bbox=disc, zorder=4, clip_on=True)
