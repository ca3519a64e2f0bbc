"""What was drawn against the law that it should have."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING

import torch
from torch import Tensor

from ...errors import refuse
from ...mixture import Mixture
from ...plots.style import color, new_axes, style
from ...plots.subject import Window
from .canvas import SHADES, draw_plane, exact_law, window_of

if TYPE_CHECKING:
    from matplotlib.axes import Axes

__all__ = ["against"]


@style()
def against(law: Mixture, draws: Mapping[str, Tensor], ax: Axes | None = None) -> Axes:
    """Draws the exact density of one or two columns, and rows by their names over it.

    One column: the density as an area, and each name's histogram as a line. Two: the density as shades, and rows as
    dots. The figure reaches as far as the law, and as all of the rows but one in 200 at either end.

    Arguments:
        law: What the rows should be draws of.
        draws: Rows ``(N, D)`` by name, or ``(N,)`` of one column.
        ax: Where to draw; a new figure by default.

    Raises:
        MixtureError: If the law has more than two columns or is a batch, or rows have others than it.
        ImportError: If matplotlib is not installed.

    Example:
        >>> problem = mx.diffusion.problems.tutorial_2d()
        >>> x = problem.posterior.sample((200,))
        >>> mx.diffusion.pictures.against(problem.posterior, {"exact": x}).get_legend_handles_labels()[1]
        ['exact']
    """
    features = law.event_shape.numel()
    if features not in _DRAWN:
        refuse("law", "of one or two columns", features, "Draw marginals: `law.marginal([0, 1])`.")
    law = exact_law(law, features)
    rows = {name: _rows(x, features) for name, x in draws.items()}
    ax = new_axes(ax)
    window = window_of([law], *rows.values())
    _DRAWN[features](ax, law, rows, window)
    if rows:
        ax.legend(loc="best", markerscale=3)
    return ax


def _line(ax: Axes, law: Mixture, rows: Mapping[str, Tensor], window: Window) -> None:
    grid, bins = window.line(0, 800), window.line(0, 71)
    density = law.log_prob(grid.reshape(-1, *law.event_shape)).exp()
    ax.fill_between(grid.numpy(), density.numpy(), color=SHADES[1], lw=0)
    for k, (name, x) in enumerate(rows.items()):
        ax.hist(x.squeeze(-1).numpy(), bins.tolist(), density=True, histtype="step", color=_color(k), label=name)
    ax.set(xlim=(float(grid[0]), float(grid[-1])), xlabel="x", ylabel="density")


def _plane(ax: Axes, law: Mixture, rows: Mapping[str, Tensor], window: Window) -> None:
    draw_plane(ax, law, window)
    for k, (name, x) in enumerate(rows.items()):
        size = max(1.5, min(8.0, 3000 / len(x)))
        ax.scatter(*x.T.numpy(), s=size, color=_color(k), alpha=0.6, lw=0, label=name, rasterized=len(x) > 1500)
    ax.set(aspect="auto", xlabel="x0", ylabel="x1")


def _color(k: int) -> str:
    return color(k + 1)  # the first is that of the shades


_DRAWN = {1: _line, 2: _plane}


def _rows(x: Tensor, features: int) -> Tensor:
    rows = x.detach().cpu().double()
    rows = rows.unsqueeze(-1) if rows.ndim == 1 else rows
    if rows.ndim != 2 or rows.shape[-1] != features or not len(rows) or not torch.isfinite(rows).all():
        refuse("draws", f"finite rows (N, {features})", tuple(x.shape))
    return rows
