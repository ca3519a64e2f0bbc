"""Errors taken apart: by what causes them, and by when they are made."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

import torch
from torch import Tensor

from ...errors import refuse
from ...plots.style import INK, color, new_axes, style

if TYPE_CHECKING:
    from matplotlib.axes import Axes

__all__ = ["attribution", "errors"]


@style()
def attribution(
    parts: Mapping[str, Mapping[str, float]], ax: Axes | None = None, label: str = "error", floor: float | None = None
) -> Axes:
    """Draws a bar for each sampler, of the parts of its error end to end, with a mark at their sum.

    What is negative, where noise outweighs a part, goes to the left of zero.

    Arguments:
        parts: For each sampler's name, the parts of its error by their names, the same for all, in order.
        ax: Where to draw; a new figure by default.
        label: What the numbers are.
        floor: What exact draws would have, drawn as a line.

    Raises:
        MixtureError: If there is no sampler, or they have other parts.
        ImportError: If matplotlib is not installed.

    Example:
        >>> parts = {"DDIM": {"start": 0.1, "steps": 0.3}, "Heun": {"start": 0.1, "steps": 0.02}}
        >>> len(mx.diffusion.pictures.attribution(parts).patches)
        4
    """
    kinds = [tuple(each) for each in parts.values()]
    if not kinds or any(one != kinds[0] for one in kinds):
        refuse("parts", "the same parts for one or more samplers", kinds)
    ax = new_axes(ax, 5.6, 0.9 + 0.34 * len(kinds))
    values = torch.tensor([list(each.values()) for each in parts.values()], dtype=torch.float64)
    begins = _begins(values)
    for k, name in enumerate(kinds[0]):
        ax.barh(list(parts), values[:, k].numpy(), 0.62, begins[:, k].numpy(), color=color(k), label=name)
    ax.plot(values.sum(1).numpy(), list(parts), "D", ms=4, color=INK, mec="white", mew=0.6, zorder=3)
    ax.axvline(0, color=INK, lw=0.7)
    if floor is not None:
        ax.axvline(floor, color=INK, lw=0.8, ls=":", label="exact draws")
    ax.invert_yaxis()
    ax.set_xlabel(label)
    ax.legend(loc="center left", bbox_to_anchor=(1.0, 0.5))
    return ax


def _begins(values: Tensor) -> Tensor:
    """Where each part begins: the positive go right from zero, the negative left."""
    begins = torch.zeros_like(values)
    for side in (values.clamp_min(0), values.clamp_max(0)):
        begins += torch.where(side != 0, side.cumsum(1) - side, 0.0)
    return begins


@style()
def errors(times: Any, curves: Mapping[str, Any], ax: Axes | None = None, label: str = "error") -> Axes:
    """Draws errors over time on a logarithmic scale, a line for each name.

    Arguments:
        times: When, ``(T,)``.
        curves: Errors ``(T,)`` by name, such as the distance of each guidance's score from the exact one.
        ax: Where to draw; a new figure by default.
        label: What the errors are.

    Raises:
        MixtureError: If there is no curve, or one has other lengths than the times.
        ImportError: If matplotlib is not installed.

    Example:
        >>> t = torch.linspace(0, 1, 5)
        >>> mx.diffusion.pictures.errors(t, {"DPS": t + 0.1, "TMPD": 0.1 * t + 0.01}).get_yscale()
        'log'
    """
    x = torch.as_tensor(times).detach().cpu()
    lines = {name: torch.as_tensor(curve).detach().cpu() for name, curve in curves.items()}
    if not lines or any(line.shape != x.shape for line in lines.values()):
        refuse("curves", f"one or more of {len(x)} errors", {name: tuple(line.shape) for name, line in lines.items()})
    ax = new_axes(ax)
    for k, (name, line) in enumerate(lines.items()):
        ax.plot(x.numpy(), line.numpy(), color=color(k), ls=_DASHES[k // 7 % len(_DASHES)], label=name)
    ax.set(xlabel="time", ylabel=label, yscale="log")
    ax.legend(loc="center left", bbox_to_anchor=(1.0, 0.5))
    return ax


_DASHES = ("-", "--", ":")
