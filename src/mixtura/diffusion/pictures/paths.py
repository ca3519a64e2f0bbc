"""Where rows went on their way from noise to draws, through the density that they should end in."""

from __future__ import annotations

from collections.abc import Iterable
from typing import TYPE_CHECKING

from ...mixture import Mixture
from ...plots.style import DATA, PALETTE, new_axes, style
from ..sampling import State
from .canvas import draw_plane, exact_law, kept, window_of

if TYPE_CHECKING:
    from matplotlib.axes import Axes

__all__ = ["paths"]


@style()
def paths(law: Mixture, states: Iterable[State], ax: Axes | None = None) -> Axes:
    """Draws the paths of rows of two columns, from hollow to filled, over the density they should end in.

    Of many paths the first 40 are drawn. For one column see `flow`.

    Arguments:
        law: What the rows should be draws of: the mixture, or its posterior.
        states: What `trajectory` went through, from noise to draws.
        ax: Where to draw; a new figure by default.

    Raises:
        MixtureError: If the law or the rows have not two columns, or there is no state.
        ImportError: If matplotlib is not installed.

    Example:
        >>> mixture = mx.diffusion.problems.tutorial_2d().mixture
        >>> states = mx.diffusion.trajectory(mixture, mx.diffusion.VariancePreserving(), (20, 2), 50)
        >>> ax = mx.diffusion.pictures.paths(mixture, states)
    """
    law = exact_law(law, 2)
    rows = kept(states, 2).few
    ax = new_axes(ax, 4.2, 4.0)
    draw_plane(ax, law, window_of([law], rows))
    ax.plot(*rows.numpy().T.swapaxes(1, 2), color=PALETTE[1], lw=0.7, alpha=0.75, zorder=2)
    ax.plot(*rows[0].T.numpy(), "o", ms=3.2, mfc="white", mec=DATA, mew=0.8, zorder=3, label="start")
    ax.plot(*rows[-1].T.numpy(), "o", ms=3.4, color=PALETTE[1], mew=0, zorder=4, label="end")
    ax.set(xlabel="x0", ylabel="x1")
    return ax
