"""Figures of a page, in its style."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from .. import plots
from ..plots.style import matplotlib

if TYPE_CHECKING:
    from matplotlib.figure import Figure

__all__ = ["axes", "blank"]


def axes(width: float, height: float) -> tuple[Figure, Any]:
    """A figure with one pair of axes, in inches."""
    drawing = blank(width, height)
    with plots.style():
        return drawing, drawing.subplots()


def blank(width: float, height: float) -> Figure:
    """A figure of its own: one of pyplot's would stay in memory after the page is written."""
    matplotlib()
    from matplotlib.figure import Figure

    with plots.style():
        return Figure(figsize=(width, height))
