"""What figures of diffusion share: the range of a flow, densities as shades, and trajectories that were kept."""

from __future__ import annotations

from collections.abc import Iterable
from typing import TYPE_CHECKING, Any, NamedTuple

import torch
from torch import Tensor

from ...errors import refuse
from ...mixture import Mixture
from ...plots.subject import Window
from ..laws import Process
from ..sampling import State
from ..schedules import Schedule

if TYPE_CHECKING:
    from matplotlib.axes import Axes

__all__ = ["Path", "SHADES", "draw_plane", "exact", "exact_law", "kept", "plane", "shades", "window_of"]

SHADES = ("#ffffff", "#d3e4ef", "#8fbcd8", "#3f88b5", "#114a70")
_SHOWN = 40  # paths that a figure draws: more only cover each other


class Path(NamedTuple):
    """A trajectory that was kept: ``times`` ``(T,)`` and ``rows`` ``(T, N, D)``, on the CPU in double precision."""

    times: Tensor
    rows: Tensor

    @property
    def few(self) -> Tensor:
        """The first rows, as many as a figure draws."""
        return self.rows[:, :_SHOWN]


def kept(states: Iterable[State], features: int) -> Path:
    """Returns a trajectory as tensors.

    Raises:
        MixtureError: If there is no state, or rows are of another number of columns.
    """
    found = list(states)
    if not found:
        refuse("states", "at least one state of a trajectory", "none")
    rows = torch.stack([state.x.detach().cpu().double() for state in found])
    rows = rows.unsqueeze(-1) if rows.ndim == 2 else rows
    if rows.ndim != 3 or rows.shape[-1] != features:
        refuse("states", f"of rows with {features} columns", tuple(found[0].x.shape))
    return Path(torch.tensor([state.t for state in found], dtype=torch.float64), rows)


def exact_law(law: Mixture, features: int) -> Mixture:
    """Returns a mixture in double precision on the CPU.

    Raises:
        MixtureError: If it is a batch of mixtures, or of another number of columns.
    """
    if law.batch_shape or law.event_shape.numel() != features:
        came = f"batch shape {tuple(law.batch_shape)}, event shape {tuple(law.event_shape)}"
        refuse("mixture", f"one mixture with columns: {features}", came)
    return law.detach().to("cpu", torch.float64)


def exact(mixture: Mixture, schedule: Schedule, features: int) -> Process:
    """Returns such a mixture under its schedule.

    Raises:
        MixtureError: As `exact_law`.
        NotClosedForm: If its components are not Gaussian.
    """
    return Process(exact_law(mixture, features), schedule)


def window_of(laws: Iterable[Mixture], *points: Tensor) -> Window:
    """Returns the ranges that hold what several laws reach, and all points ``(*, D)`` but one in 200 at either end."""
    rows = [_inner(row.reshape(-1, row.shape[-1])) for row in points]
    each = [Window.of(torch.empty(0, 0), law) for law in laws]
    low = torch.stack([one.low for one in each] + [row.amin(0) for row in rows]).amin(0)
    high = torch.stack([one.high for one in each] + [row.amax(0) for row in rows]).amax(0)
    return Window(low, high)


def _inner(rows: Tensor) -> Tensor:
    return torch.quantile(rows[: 10**5], torch.tensor([0.005, 0.995], dtype=rows.dtype), dim=0)


def shades() -> Any:
    """The shades of densities, from none to the highest."""
    from matplotlib.colors import LinearSegmentedColormap

    return LinearSegmentedColormap.from_list("mixtura", SHADES)


def plane(law: Mixture, window: Window, cells: int = 160) -> Tensor:
    """Densities of a law of two columns over a window, relative to the highest, ``(cells, cells)``; rows go up."""
    grid = torch.cartesian_prod(window.line(0, cells), window.line(1, cells))
    values = law.log_prob(grid).reshape(cells, cells).T
    return (values - values.max()).exp()


def draw_plane(ax: Axes, law: Mixture, window: Window) -> Any:
    """Draws the density of two columns as shades; returns the image."""
    extent = (*_ends(window, 0), *_ends(window, 1))
    ax.set_aspect("equal")
    ax.set_xlim(*_ends(window, 0))
    ax.set_ylim(*_ends(window, 1))
    image = plane(law, window).numpy()
    return ax.imshow(image, origin="lower", extent=extent, cmap=shades(), vmin=0, vmax=1, interpolation="bilinear")


def _ends(window: Window, dim: int) -> tuple[float, float]:
    return float(window.low[dim]), float(window.high[dim])
