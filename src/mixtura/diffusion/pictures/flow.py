"""The law of a mixture on its way to noise: on a line as one image over time, on a plane at some times."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import TYPE_CHECKING, Any

import torch
from torch import Generator, Tensor

from ...errors import refuse
from ...mixture import Mixture
from ...plots.style import PALETTE, matplotlib, new_axes, style
from ...plots.subject import Window
from ..laws import Process
from ..sampling import State
from ..schedules import Schedule
from .canvas import draw_plane, exact, kept, shades, window_of

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

__all__ = ["flow", "stages"]

_TIMES, _VALUES = 241, 301  # of the image


@style()
def flow(mixture: Mixture, schedule: Schedule, states: Iterable[State] | None = None, ax: Axes | None = None) -> Axes:
    """Draws the density of one column over time, and the paths of rows through it.

    Shades are the density relative to the highest at the same time. Of many paths the first 40 are drawn.

    Arguments:
        mixture: The law of the draws, of one column.
        schedule: How signal and noise change with time.
        states: What `trajectory` went through, kept or not.
        ax: Where to draw; a new figure by default.

    Raises:
        MixtureError: If the mixture has more columns than one, or is a batch.
        NotClosedForm: If its components are not Gaussian.
        ImportError: If matplotlib is not installed.

    Example:
        >>> mixture = mx.Mixture(torch.ones(2), mx.Normal(torch.tensor([-2.0, 2.0]), torch.tensor([0.3, 0.5])))
        >>> schedule = mx.diffusion.VariancePreserving()
        >>> states = mx.diffusion.trajectory(mixture, schedule, (20,), 50)
        >>> len(mx.diffusion.pictures.flow(mixture, schedule, states).lines)
        20
    """
    process, path = exact(mixture, schedule, 1), None if states is None else kept(states, 1)
    window = window_of(ends(process), *(() if path is None else (path.few,)))
    ax = new_axes(ax)
    extent = (schedule.begin, schedule.end, float(window.low), float(window.high))
    image = over_time(process, window).numpy()
    ax.imshow(image, origin="lower", extent=extent, cmap=shades(), vmin=0, vmax=1, aspect="auto")
    if path is not None:
        ax.plot(path.times.numpy(), path.few.squeeze(-1).numpy(), color=PALETTE[1], lw=0.7, alpha=0.8)
    ax.set(xlim=extent[:2], ylim=extent[2:], xlabel="time", ylabel="x")
    return ax


@style()
def stages(
    mixture: Mixture,
    schedule: Schedule,
    times: Sequence[float] = (0.0, 0.3, 0.6, 1.0),
    samples: int = 300,
    generator: Generator | None = None,
    axes: Sequence[Axes] | None = None,
) -> Figure:
    """Draws the density of two columns at some times side by side, each with draws of it.

    Shades are the density relative to the highest of the same time; all have one range.

    Arguments:
        mixture: The law of the draws, of two columns.
        schedule: How signal and noise change with time.
        times: When.
        samples: The number of draws in each.
        generator: The source of randomness.
        axes: Where to draw, one for each time; a new figure by default.

    Raises:
        MixtureError: If the mixture has not two columns, a time is outside of the schedule, or there are other axes
            than times.
        NotClosedForm: If its components are not Gaussian.
        ImportError: If matplotlib is not installed.

    Example:
        >>> mixture = mx.diffusion.problems.tutorial_2d().mixture
        >>> figure = mx.diffusion.pictures.stages(mixture, mx.diffusion.VariancePreserving())
        >>> [ax.get_title(loc="left") for ax in figure.axes]
        ['t = 0', 't = 0.3', 't = 0.6', 't = 1']
    """
    process = exact(mixture, schedule, 2)
    laws = [process.at(t) for t in times]
    draws = [law.sample((samples,), generator) for law in laws]
    window = window_of(laws)
    places = new_row(axes, len(laws))
    for ax, t, law, points in zip(places, times, laws, draws, strict=True):
        draw_plane(ax, law, window)
        ax.scatter(*points.T.numpy(), s=4, color=PALETTE[1], alpha=0.7, lw=0)
        ax.set(title=f"t = {t:g}", xlabel="x0")
    places[0].set_ylabel("x1")
    return places[0].figure


def ends(process: Process) -> list[Mixture]:
    """The law of the draws and that of the end of time."""
    return [process.at(process.schedule.begin), process.at(process.schedule.end)]


def new_row(axes: Sequence[Axes] | None, count: int) -> Sequence[Any]:
    """The axes given, or so many of a new figure that share their ranges.

    Raises:
        MixtureError: If other axes than so many were given.
    """
    if axes is not None:
        if len(axes) != count:
            refuse("axes", f"{count}, one for each", len(axes))
        return axes
    matplotlib()
    from matplotlib import pyplot

    return pyplot.subplots(1, count, figsize=(2.6 * count + 0.4, 2.8), sharex=True, sharey=True, squeeze=False)[1][0]


def over_time(process: Process, window: Window) -> Tensor:
    """Densities of one column relative to the highest at each time, ``(values, times)``."""
    one = process.schedule
    times = torch.linspace(one.begin, one.end, _TIMES, dtype=torch.float64)
    values = window.line(0, _VALUES).reshape(-1, 1, *(1,) * len(process.mixture.event_shape))
    log_prob = process.at(times).log_prob(values)
    return (log_prob - log_prob.amax(0)).exp()
