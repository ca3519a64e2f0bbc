"""Draws that go to noise and come back, as a moving picture."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path as File
from typing import TYPE_CHECKING, Any

import numpy as np
import torch
from torch import Generator

from ...mixture import Mixture
from ...plots.style import PALETTE, style
from ..laws import Process
from ..samplers import DDIM, Sampler
from ..sampling import State, trajectory
from ..schedules import Schedule
from .canvas import draw_plane, exact, plane, window_of
from .flow import ends

if TYPE_CHECKING:
    from matplotlib.axes import Axes

__all__ = ["animate"]


@style()
def animate(
    mixture: Mixture,
    schedule: Schedule,
    path: Any,
    rows: int = 300,
    frames: int = 40,
    sampler: Sampler | None = None,
    generator: Generator | None = None,
) -> File:
    r"""Writes a GIF of draws of two columns that go to noise and come back, over the exact density of their time.

    Forth they go as :math:`\alpha_t x_0 + \sigma_t\varepsilon` with noise that is each row's own; back by a sampler,
    from where they came, which the exact denoiser leads to other draws of the same mixture.

    Arguments:
        mixture: The law of the draws, of two columns.
        schedule: How signal and noise change with time.
        path: Where to write.
        rows: The number of draws.
        frames: The number of pictures each way.
        sampler: How they come back; by default `DDIM`.
        generator: The source of randomness.

    Returns:
        The path.

    Raises:
        MixtureError: If the mixture has not two columns.
        NotClosedForm: If its components are not Gaussian.
        ImportError: If matplotlib is not installed.

    Example:
        >>> mixture = mx.diffusion.problems.tutorial_2d().mixture
        >>> mx.diffusion.pictures.animate(mixture, mx.diffusion.VariancePreserving(), "flow.gif", frames=3).name
        'flow.gif'
    """
    process = exact(mixture, schedule, 2)
    forth = _forth(process, rows, frames, generator)
    back = trajectory(process, schedule, (rows, 2), frames, sampler or DDIM(), generator=generator, start=forth[-1].x)
    _write(process, [*forth, *list(back)[1:]], File(path))
    return File(path)


def _forth(process: Process, rows: int, frames: int, generator: Generator | None) -> list[State]:
    """Draws and noise of their own, at the times of the way back."""
    clean = process.mixture.sample((rows,), generator)
    noise = torch.randn(clean.shape, dtype=clean.dtype, generator=generator)
    one = process.schedule
    return [State(float(t), one.alpha(t) * clean + one.sigma(t) * noise) for t in one.grid.times(one, frames).flip(0)]


def _write(process: Process, states: list[State], path: File) -> None:
    from matplotlib.backends.backend_agg import FigureCanvasAgg
    from matplotlib.figure import Figure
    from PIL import Image

    figure = Figure(figsize=(4.0, 4.2), dpi=90)  # not pyplot's: nothing stays open
    figure.set_layout_engine("none")  # which would move the axes from picture to picture
    canvas = FigureCanvasAgg(figure)
    show = _shown(figure.add_axes((0.12, 0.1, 0.85, 0.83)), process, states)

    def picture(number: int) -> Image.Image:
        show(number)
        canvas.draw()
        return Image.fromarray(np.array(canvas.buffer_rgba())[..., :3])

    stand = {0, len(states) // 2, len(states) - 1}
    lasting = [_STILL if number in stand else _SHORT for number in range(len(states))]
    first, *others = map(picture, range(len(states)))
    first.save(path, save_all=True, append_images=others, duration=lasting, loop=0)


def _shown(ax: Axes, process: Process, states: list[State]) -> Callable[[int], None]:
    """What shows one of the states in the axes."""
    window = window_of(ends(process))
    image = draw_plane(ax, process.mixture, window)
    (dots,) = ax.plot([], [], "o", ms=2.4, color=PALETTE[1], alpha=0.8, mew=0)
    ax.set(xlabel="x0", ylabel="x1")

    def show(number: int) -> None:
        t, x = states[number]
        image.set_data(plane(process.at(t), window, 100).numpy())
        dots.set_data(*x.T.numpy())
        way = "to noise" if number <= len(states) // 2 else "back"
        ax.set_title(f"t = {t:.2f}, {way}")

    return show


_SHORT, _STILL = 70, 600  # milliseconds of a picture, and of those at either end and at the turn
