"""How it went: the objective over the iterations, and the criterion over the number of components."""

from __future__ import annotations

from typing import TYPE_CHECKING

from ..errors import refuse
from ..learning import Candidate, Fit, Reason, Selection
from .style import INK, PALETTE, new_axes, style
from .subject import parts

if TYPE_CHECKING:
    from matplotlib.axes import Axes

__all__ = ["selection", "trace"]


@style()
def trace(fit: Fit | Selection, ax: Axes | None = None) -> Axes:
    """Draws what the method ascends, in nats per row, before each update and at the end.

    Arguments:
        fit: A fit, or a selection (its best fit).
        ax: Where to draw; a new figure by default.

    Raises:
        MixtureError: If it is something else, such as a mixture, which does not know how it was reached.
        ImportError: If matplotlib is not installed.

    Example:
        >>> fit = mx.fit(mx.datasets.old_faithful(), components=2)
        >>> len(mx.plots.trace(fit).lines[0].get_xdata()) == len(fit.trace)
        True
    """
    found = parts(fit).fit
    if found is None:
        refuse("fit", "a Fit or a Selection", type(fit).__name__)
    ax = new_axes(ax, height=2.8)
    values = found.trace.tolist()
    ax.plot(range(len(values)), values, color=PALETTE[0], marker="o", ms=2.2, lw=1.1)
    ax.set_xlabel("iteration")
    ax.set_ylabel("objective (nats per row)")
    ax.ticklabel_format(useOffset=False)
    _whole_numbers(ax)
    return ax


@style()
def selection(selection: Selection, ax: Axes | None = None) -> Axes:
    """Draws the criterion against the number of components, one line for each structure, and marks the best.

    The height is the criterion's excess over its lowest value, to scale up to 10 and logarithmic above, so that small
    differences among the good models can be seen beside the poor ones. Tied structures have the colour of their untied
    twin and a dashed line. Models that collapsed are left out: their criterion means nothing.

    Arguments:
        selection: What `select` returned.
        ax: Where to draw; a new figure by default.

    Raises:
        MixtureError: If it is something else.
        ImportError: If matplotlib is not installed.

    Example:
        >>> found = mx.select(mx.datasets.old_faithful(), components=(1, 2, 3), covariance=("full", "tied-full"))
        >>> mx.plots.selection(found).get_ylabel()
        'BIC above the best'
    """
    if parts(selection).selection is None:
        refuse("selection", "what `mx.select` returned", type(selection).__name__)
    ax = new_axes(ax, width=6.4)
    for covariance in _structures(selection):
        _line(ax, selection, covariance)
    _mark(ax, selection)
    ax.set_xlabel("components")
    ax.set_ylabel(f"{selection.criterion.upper()} above the best")
    ax.set_yscale("symlog", linthresh=10, linscale=0.6)
    ax.set_ylim(bottom=-3)
    ax.yaxis.set_major_formatter("{x:g}")
    _whole_numbers(ax)
    ax.legend(loc="center left", bbox_to_anchor=(1.0, 0.5), handlelength=2.6)
    return ax


def _structures(selection: Selection) -> list[str]:
    """The structures tried, plain ones first, in the order of their names."""
    names = {candidate.covariance for candidate in selection.table}
    return sorted(names, key=lambda name: (_plain(name), name != _plain(name)))


def _plain(covariance: str) -> str:
    return covariance.removeprefix("tied-")


def _line(ax: Axes, selection: Selection, covariance: str) -> None:
    own = [c for c in selection.table if c.covariance == covariance and _sound(c)]
    own.sort(key=lambda c: c.components)
    shapes = list(dict.fromkeys(_plain(name) for name in _structures(selection)))
    color = PALETTE[shapes.index(_plain(covariance)) % len(PALETTE)]
    dashes = "--" if covariance != _plain(covariance) else "-"
    values = [selection.behind(c) for c in own]
    ax.plot([c.components for c in own], values, dashes, color=color, marker="o", ms=3, lw=1.2, label=covariance)


def _mark(ax: Axes, selection: Selection) -> None:
    best = selection.table[0]
    ax.plot(best.components, 0, "o", ms=10, mfc="none", mec=INK, mew=1.3, zorder=4, clip_on=False)
    text = f"{best.components}, {best.covariance}: {selection.value(best):.1f}"
    ax.annotate(text, (best.components, 0), (9, -4), textcoords="offset points", va="top", color=INK, fontsize=8)


def _sound(candidate: Candidate) -> bool:
    return candidate.reason not in (Reason.COLLAPSED, Reason.NOT_FINITE)


def _whole_numbers(ax: Axes) -> None:
    from matplotlib.ticker import MaxNLocator

    ax.xaxis.set_major_locator(MaxNLocator(integer=True))
