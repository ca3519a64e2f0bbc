"""What churn does: rows that start together part."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

from torch import Generator, Tensor

from ...mixture import Mixture
from ...plots.style import color, style
from ..churn import Churn
from ..samplers import DDIM, Sampler
from ..sampling import trajectory
from ..schedules import Schedule
from .canvas import Path, kept
from .flow import flow, new_row

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

__all__ = ["churned"]

_TOGETHER = 8  # rows from each start


@style()
def churned(
    mixture: Mixture,
    schedule: Schedule,
    start: Tensor,
    churns: Sequence[Churn] = (Churn(0.0), Churn(1.0), Churn(10.0)),
    steps: int = 100,
    sampler: Sampler | None = None,
    generator: Generator | None = None,
    axes: Sequence[Axes] | None = None,
) -> Figure:
    """Draws the paths of a deterministic sampler through the density of one column, by how much they are churned.

    Eight rows of one colour leave from each start. Without churn they stay together; with it they part, and go to where
    the density is, whatever their start.

    Arguments:
        mixture: The law of the draws, of one column.
        schedule: How signal and noise change with time.
        start: Where rows start, ``(S,)``; a few of them.
        churns: How much noise is added; a panel for each.
        steps: The number of steps.
        sampler: A deterministic one; by default `DDIM`.
        generator: The source of randomness.
        axes: Where to draw, one for each churn; a new figure by default.

    Raises:
        MixtureError: If the mixture has more columns than one, the sampler draws by itself, or there are other axes
            than churns.
        ImportError: If matplotlib is not installed.

    Example:
        >>> mixture = mx.Mixture(torch.ones(2), mx.Normal(torch.tensor([-2.0, 2.0]), torch.tensor([0.3, 0.5])))
        >>> start = torch.tensor([-1.5, 0.2, 1.0])
        >>> figure = mx.diffusion.pictures.churned(mixture, mx.diffusion.VariancePreserving(), start)
        >>> [ax.get_title(loc="left") for ax in figure.axes]
        ['churn 0', 'churn 1', 'churn 10']
    """
    rows = start.flatten().repeat_interleave(_TOGETHER).reshape(-1, *mixture.event_shape).to(mixture.mean)
    places = new_row(axes, len(churns))
    for ax, churn in zip(places, churns, strict=True):
        states = trajectory(
            mixture, schedule, rows.shape, steps, sampler or DDIM(), generator=generator, start=rows, churn=churn
        )
        flow(mixture, schedule, ax=ax)
        _draw(ax, kept(states, 1))
        ax.set(title=f"churn {churn.amount:g}", ylabel="")
    places[0].set_ylabel("x")
    return places[0].figure


def _draw(ax: Axes, path: Path) -> None:
    """Paths in the colour of their start."""
    for k, rows in enumerate(path.rows.squeeze(-1).split(_TOGETHER, 1)):
        ax.plot(path.times.numpy(), rows.numpy(), color=color(k + 1), lw=0.7, alpha=0.85)
