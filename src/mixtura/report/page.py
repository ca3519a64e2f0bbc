"""The page: its sections in their order, in one file."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from .._version import __version__
from .._writing import whole_file
from ..plots.subject import Model
from .html import escape
from .sections import SECTIONS
from .story import Story, story
from .templates import PAGE

__all__ = ["page", "render", "write"]


def page(
    model: Model,
    x: Any = None,
    columns: Sequence[str] | None = None,
    source: str = "the data",
    made: Mapping[str, str] | None = None,
) -> str:
    """Returns a self-contained HTML page about a selection, a fit or a mixture.

    Sections: the question and the answer; the selection curve (of a selection); the density with the components; the
    component table; the trace (of a fit); the least likely rows; how it was made, priors included.

    Arguments:
        model: A selection, a fit or a mixture without batch shape.
        x: Rows in any form that `fit` takes; a fit brings its own.
        columns: Names of the columns, instead of the rows'.
        source: What the rows are called in the text, such as the name of their file.
        made: More lines for the last section, such as the command that was typed.

    Raises:
        MixtureError: If there are no rows, or they do not fit the mixture.
        ImportError: If matplotlib is not installed.

    Example:
        >>> fit = mx.fit(mx.datasets.galaxies(), components=2)
        >>> "<h2>Components</h2>" in mx.report.page(fit, source="galaxies")
        True
    """
    return render(story(model, x, columns, source, made))


def render(told: Story) -> str:
    """Returns the page of a story that has been gathered already."""
    sections = "\n".join(section(told) for section in SECTIONS)
    title = escape(f"A mixture for {told.source}")
    return PAGE.substitute(title=title, sections=sections, version=escape(__version__))


def write(
    path: str | Path,
    model: Model,
    x: Any = None,
    columns: Sequence[str] | None = None,
    source: str = "the data",
    made: Mapping[str, str] | None = None,
) -> Path:
    """Writes `page` to a file, which appears complete or not at all, and returns its path.

    Raises:
        MixtureError: As `page`, and if the folder does not exist or cannot be written.
        ImportError: If matplotlib is not installed.

    Example:
        >>> mx.report.write("report.html", mx.fit(mx.datasets.galaxies(), components=2)).name
        'report.html'
    """
    text = page(model, x, columns, source, made)
    with whole_file(path) as temporary:
        temporary.write_text(text, encoding="utf-8")
    return Path(path)
