"""One self-contained HTML page about a comparison: its figure, its tables with their floors, and how it was made."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING

from ..._version import __version__
from ...plots.style import INK, PALETTE, new_axes, style
from ...report.drawing import axes
from ...report.html import Html, escape, facts, figure, paragraph, section, table
from ...report.templates import PAGE
from .comparison import Cell
from .rules import RULES
from .summary import Line, median, shown, summarised

if TYPE_CHECKING:
    from matplotlib.axes import Axes

__all__ = ["draw_cells", "page"]

_SAID = {
    "SW1": "Sliced Wasserstein distance to the exact posterior, in units of the draws.",
    "weights": "Total variation between the modes' shares of the samples and their weights.",
    "spreads": "Error of the modes' variances, relative to them: 1 is a mode collapsed to a point.",
}
_FAR = 1e3  # floors at which the figure ends


def page(title: str, cells: Sequence[Cell], made: Mapping[str, str]) -> str:
    """Returns the page.

    Arguments:
        title: What was asked.
        cells: What `compare` found, on one problem or many.
        made: How it was made, for the last section.

    Raises:
        ImportError: If matplotlib is not installed.

    Example:
        >>> cells = [mx.diffusion.bench.Cell("p", "tmpd", "SW1", 0.4, 0.2, 0.05, 0.05, 0.3)]
        >>> "<td>tmpd</td>" in mx.diffusion.bench.page("One problem", cells, {"seed": "0"})
        True
    """
    lines = summarised(cells)
    metrics = list(dict.fromkeys(line.metric for line in lines))
    parts = [_answer(lines, metrics[0]), _figure(cells, metrics[0])]
    parts += [_table(metric, [line for line in lines if line.metric == metric]) for metric in metrics]
    parts += [_rules(lines), section("How it was made", table(("", ""), made.items(), "words"))]
    return PAGE.substitute(title=escape(title), sections="\n".join(parts), version=escape(__version__))


def _answer(lines: Sequence[Line], metric: str) -> Html:
    first = [line for line in lines if line.metric == metric]
    asked = "How far from the exact posterior do samplers end? Every number stands beside that of exact samples."
    known = [
        ("rules", str(len(first))),
        ("problems", str(first[0].problems)),
        (f"floor, {metric}", f"{first[0].floor:.3g}"),
    ]
    return Html(paragraph(asked, "asked") + facts(known))


@style()
def draw_cells(cells: Sequence[Cell], metric: str, ax: Axes | None = None) -> Axes:
    """Draws a dot for every rule and problem, with the floor as a line, on a logarithmic scale.

    Raises:
        ImportError: If matplotlib is not installed.
    """
    rules = list(dict.fromkeys(cell.rule for cell in cells))
    ax = new_axes(ax, 6.4, 0.8 + 0.3 * len(rules))
    mine = [cell for cell in cells if cell.metric == metric]
    floor = max(median(cell.floor for cell in mine), 1e-12)
    values = [cell.value if cell.value <= _FAR * floor else _FAR * floor for cell in mine]
    ax.plot(values, [rules.index(cell.rule) for cell in mine], "o", ms=4, mew=0, alpha=0.6, color=PALETTE[0])
    ax.axvline(floor, color=INK, lw=0.8, ls=":", label="exact samples")
    ax.set_xscale("log")
    ax.set_yticks(range(len(rules)), rules)
    ax.invert_yaxis()
    ax.set_xlabel(metric)
    ax.legend(loc="lower right")
    return ax


def _figure(cells: Sequence[Cell], metric: str) -> Html:
    rules = {cell.rule for cell in cells}
    drawn, ax = axes(6.8, 0.9 + 0.3 * len(rules))
    draw_cells(cells, metric, ax)
    caption = (
        f"{metric} of every rule, a dot for each problem. Dotted: exact samples. What diverged is at the right end."
    )
    return section("Rules side by side", figure(drawn, f"{metric} by rule", caption))


def _table(metric: str, lines: Sequence[Line]) -> Html:
    head = ("rule", "median", "least", "most", "floor", "could be exact", "seconds")
    rows = [
        (
            line.rule,
            *(shown(value, line.floor) for value in (line.value, line.least, line.most, line.floor)),
            f"{line.exact} of {line.problems}",
            f"{line.seconds:.2f}",
        )
        for line in lines
    ]
    note = "Could be exact: p above 0.05 against exact samples of the same number."
    return section(metric, paragraph(_SAID.get(metric, "")), table(head, rows), paragraph(note, "note"))


def _rules(lines: Sequence[Line]) -> Html:
    known = [name for name in dict.fromkeys(line.rule for line in lines) if name in RULES]
    rows = [(name, RULES[name].about) for name in known]
    return section("The rules", table(("rule", "what stands for p(y | x_t)"), rows, "words"))
