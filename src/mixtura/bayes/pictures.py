"""Figures of draws: where they went, what they say of each number, what they predict, and where the density lies."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

import numpy as np
import torch
from torch import Tensor

from ..errors import refuse
from ..plots.style import DATA, INK, color, matplotlib, new_axes, style
from .draws.as_mixtures import density_bands
from .draws.read_back import Drawn, set_of
from .draws.words import Interval, intervals
from .posterior import Posterior

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

__all__ = ["bands", "interval_lines", "predictive", "traces"]

_BINS, _POINTS, _REPLICATES = 30, 301, 500


@style()
def traces(idata: Drawn, names: Sequence[str] | None = None, figure: Figure | None = None) -> Figure:
    """Draws each parameter over the draws, one line a chain: all should look like one noise.

    Arguments:
        idata: What sampling returned.
        names: Which parameters; all by default.
        figure: Where to draw; a new one by default.

    Raises:
        MixtureError: If there is no such parameter.
        ImportError: If matplotlib is not installed.

    Example:
        >>> posterior = mx.bayes.Model(2, ordered="loc").posterior(mx.datasets.old_faithful()[:, 0])
        >>> idata = mx.bayes.inference_data(posterior, posterior.start() + 0.01 * torch.randn(4, 50, posterior.size))
        >>> len(mx.bayes.pictures.traces(idata, ["loc"]).axes)
        1
    """
    known = [str(name) for name in set_of(idata, "posterior").data_vars]
    unknown = [name for name in names or [] if name not in known]
    if unknown:
        refuse("names", f"among {', '.join(known)}", ", ".join(unknown))
    shown = names or known
    figure = figure or _new_figure(1.2 * len(shown))
    axes = figure.subplots(len(shown), 1, sharex=True, squeeze=False)[:, 0]
    for ax, name in zip(axes, shown, strict=True):
        _trace(ax, name, [one for one in intervals(idata) if one.name.split("[")[0] == name])
    axes[-1].set_xlabel("draw")
    return figure


def _new_figure(height: float) -> Figure:
    matplotlib()
    from matplotlib import pyplot

    return pyplot.figure(figsize=(6.8, max(2.0, height)))


def _trace(ax: Axes, name: str, entries: list[Interval]) -> None:
    for one in entries:
        for chain in one.draws.tolist():
            ax.plot(chain, lw=0.4, alpha=0.7, color=INK if one.component is None else color(one.component))
    ax.set_ylabel(name)


@style()
def interval_lines(idata: Drawn, ax: Axes | None = None, most: int | None = None) -> Axes:
    """Draws each number's mean, and the line between the ends that hold nine tenths of its draws.

    Arguments:
        idata: What sampling returned.
        ax: Where to draw; a new figure by default.
        most: How many numbers to draw at most; all by default.

    Example:
        >>> posterior = mx.bayes.Model(2, ordered="loc").posterior(mx.datasets.old_faithful()[:, 0])
        >>> idata = mx.bayes.inference_data(posterior, posterior.start() + 0.01 * torch.randn(4, 50, posterior.size))
        >>> len(mx.bayes.pictures.interval_lines(idata).get_yticks())
        6
    """
    found = intervals(idata)[:most]
    ax = new_axes(ax, height=0.6 + 0.24 * len(found))
    for place, one in enumerate(found):
        shade = INK if one.component is None else color(one.component)
        ax.plot((one.low, one.high), (place, place), color=shade, lw=1.6)
        ax.plot(one.mean, place, "o", color=shade, ms=3.5)
    labels = [one.name if one.component is None else f"{one.name} of {one.component}" for one in found]
    ax.set_yticks(range(len(found)), labels)
    ax.invert_yaxis()
    return ax


@style()
def predictive(idata: Drawn, column: int = 0, ax: Axes | None = None, group: str = "posterior") -> Axes:
    """Draws the rows' histogram on that of rows drawn anew: a model that fits has most bars within the band.

    Arguments:
        idata: What sampling returned.
        column: Which column of a table.
        ax: Where to draw; a new figure by default.
        group: ``"posterior"`` or ``"prior"``.

    Raises:
        NotClosedForm: If the components were written by hand without a sampler.
        ImportError: If matplotlib is not installed.

    Example:
        >>> posterior = mx.bayes.Model(2, ordered="loc").posterior(mx.datasets.old_faithful()[:, 0])
        >>> idata = mx.bayes.inference_data(posterior, posterior.start() + 0.01 * torch.randn(4, 50, posterior.size))
        >>> mx.bayes.pictures.predictive(idata).get_ylabel()
        'density'
    """
    variable = set_of(idata, f"{group}_predictive")["x"]
    seen = set_of(idata, "observed_data")["x"].values
    many = variable.values.reshape(-1, *variable.shape[2:])
    if seen.ndim > 1:
        seen, many = seen[:, column], many[..., column]
    edges, many = _edges(seen[np.isfinite(seen)]), many[:: max(1, len(many) // _REPLICATES)]
    low, middle, high = np.quantile(np.stack([_histogram(one, edges) for one in many]), (0.05, 0.5, 0.95), axis=0)
    ax = new_axes(ax)
    ax.stairs(high, edges, baseline=low, fill=True, color=color(0), alpha=0.25, lw=0, label="rows drawn anew, 90 %")
    ax.stairs(middle, edges, color=color(0), lw=1.0)
    ax.stairs(_histogram(seen, edges), edges, color=INK, lw=1.4, label="rows")
    ax.set_ylabel("density")
    ax.set_xlabel(_name(variable, column))
    ax.legend(fontsize=8)
    return ax


def _name(variable: Any, column: int) -> str:
    """What the rows' numbers are called."""
    return (
        str(variable["feature"].values[column]) if "feature" in variable.dims else variable.attrs.get("long_name", "x")
    )


def _edges(seen: Any) -> Any:
    """Edges of bins; about whole numbers where all are."""
    if len(seen) and bool((seen == np.round(seen)).all()) and np.ptp(seen) <= 2 * _BINS:
        return np.arange(seen.min(), seen.max() + 2) - 0.5
    found = np.histogram_bin_edges(seen, "auto")
    return found if len(found) <= 2 * _BINS else np.linspace(seen.min(), seen.max(), 2 * _BINS + 1)


def _histogram(values: Any, edges: Any) -> Any:
    """Shares of all finite values, of which some may lie outside, by the width of a bin."""
    finite = values[np.isfinite(values)]
    return np.histogram(finite, edges)[0] / max(1, len(finite)) / np.diff(edges)


@style()
def bands(idata: Drawn, probability: float = 0.9, posterior: Posterior | None = None, ax: Axes | None = None) -> Axes:
    """Draws where the density of one column lies under the posterior, over the rows' histogram.

    Arguments:
        idata: What sampling returned.
        probability: How much of the posterior the band holds at each point.
        posterior: What was drawn from; needed where the components are by hand or of several families.
        ax: Where to draw; a new figure by default.

    Raises:
        MixtureError: If the rows have several columns.

    Example:
        >>> posterior = mx.bayes.Model(2, ordered="loc").posterior(mx.datasets.old_faithful()[:, 0])
        >>> idata = mx.bayes.inference_data(posterior, posterior.start() + 0.01 * torch.randn(4, 50, posterior.size))
        >>> mx.bayes.pictures.bands(idata).get_ylabel()
        'density'
    """
    seen = set_of(idata, "observed_data")["x"].values
    if seen.ndim > 1:
        refuse("idata", "of rows with one column", f"{seen.shape[1]} columns")
    finite = seen[np.isfinite(seen)]
    x = _grid(finite)
    low, middle, high = (one.numpy() for one in density_bands(idata, x, probability, posterior))
    ax = new_axes(ax)
    ax.hist(finite, bins=_edges(finite), density=True, color=DATA, alpha=0.35, lw=0)
    ax.fill_between(x.numpy(), low, high, color=color(0), alpha=0.3, lw=0)
    ax.plot(x.numpy(), middle, color=color(0))
    ax.set_ylabel("density")
    return ax


def _grid(seen: Any) -> Tensor:
    """Points from end to end of the rows; whole numbers where the rows are."""
    low, high = float(seen.min()), float(seen.max())
    if bool((seen == np.round(seen)).all()):
        return torch.arange(low, high + 1, dtype=torch.float64)
    room = 0.05 * (high - low)
    inside = (low if low >= 0 else low - room, high + room)
    return torch.linspace(*inside, _POINTS, dtype=torch.float64)
