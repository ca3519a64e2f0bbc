"""Text, tables and figures as HTML; everything a user could have written is escaped here."""

from __future__ import annotations

import base64
import html
import io
from collections.abc import Iterable, Sequence
from functools import singledispatch
from typing import TYPE_CHECKING

from ..plots.style import color, matplotlib
from .templates import DOT, FACT, FIGURE, SECTION, TABLE

if TYPE_CHECKING:
    from matplotlib.figure import Figure

__all__ = ["Html", "dot", "escape", "facts", "figure", "paragraph", "section", "table"]


class Html(str):
    """Text that is HTML already and is not to be escaped again."""


@singledispatch
def escape(text: object) -> Html:
    """The text with the characters that HTML reads as markup written out; `Html` as it is."""
    return Html(html.escape(str(text), quote=True))


@escape.register
def _(text: Html) -> Html:
    return text


def section(title: str, *body: str) -> Html:
    """A heading and what stands below it."""
    return Html(SECTION.substitute(title=escape(title), body="\n".join(map(escape, body))))


def paragraph(text: str, kind: str = "") -> Html:
    """A paragraph of a class of the style sheet."""
    return Html(f'<p class="{escape(kind)}">{escape(text)}</p>')


def facts(pairs: Iterable[tuple[str, str]]) -> Html:
    """A row of numbers, each with its name above it."""
    inside = "".join(FACT.substitute(name=escape(name), value=escape(value)) for name, value in pairs)
    return Html(f'<dl class="facts">{inside}</dl>')


def table(head: Sequence[str], rows: Iterable[Sequence[object]], kind: str = "numbers") -> Html:
    """A table; ``kind`` is "numbers" (right) or "words" (left)."""
    top = "".join(f"<th>{escape(cell)}</th>" for cell in head)
    body = "\n".join("<tr>" + "".join(f"<td>{escape(cell)}</td>" for cell in row) + "</tr>" for row in rows)
    return Html(TABLE.substitute(kind=escape(kind), head=top, body=body))


def dot(component: int) -> Html:
    """The number of a component behind a dot of its colour."""
    return Html(DOT.substitute(color=color(component), number=component))


def figure(drawing: Figure, alt: str, caption: str) -> Html:
    """A figure inside the page: SVG, with the same bytes for the same drawing."""
    buffer = io.BytesIO()
    with matplotlib().rc_context({"svg.hashsalt": "mixtura"}):
        drawing.savefig(buffer, format="svg", dpi=150, metadata={"Date": None, "Creator": None})
    data = base64.b64encode(buffer.getvalue()).decode()
    return Html(FIGURE.substitute(data=data, alt=escape(alt), caption=escape(caption)))
