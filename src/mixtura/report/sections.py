"""The sections of the page; each is a function of the story, and empty where the story knows nothing of it."""

from __future__ import annotations

import platform
import sys
from collections.abc import Sequence
from typing import TYPE_CHECKING, NamedTuple

import torch

from .. import plots
from .._version import __version__
from ..errors import NotClosedForm
from ..learning import Candidate, Reason, Selection
from ..learning.results.optimum import told_of
from .describe import described, flat
from .digits import amount, number, rounded
from .drawing import axes, blank
from .html import Html, dot, escape, facts, figure, paragraph, section, table
from .story import Story, covariance_name, in_words, listed

if TYPE_CHECKING:
    from matplotlib.figure import Figure

__all__ = ["SECTIONS", "made"]

_PANELS = 6  # columns of the corner plot
_LISTED = 12  # lines of the table of models


def answer(story: Story) -> Html:
    """What was asked, and the answer."""
    poor = story.fit is not None and not story.fit.converged
    parts = [paragraph(story.asked, "asked"), paragraph(story.answer, "answer")]
    if story.selection is not None and story.selection.advice:
        parts.append(paragraph(story.selection.advice, "warning"))
    if poor and story.fit is not None:
        parts.append(paragraph(story.fit.advice, "warning"))
    return Html("\n".join([*parts, facts(_facts(story))]))


def _facts(story: Story) -> list[tuple[str, str]]:
    weighted = [("total weight", amount(story.rows.total_weight))] if story.rows.weighted else []
    pairs = [
        ("rows", f"{len(story.rows):,}"),
        *weighted,
        ("columns", str(story.features)),
        ("components", str(story.components)),
        ("free parameters", str(story.mixture.parameters)),
        ("nats per row", number(story.per_row, 6)),
    ]
    if story.fit is None:
        return pairs
    scores = (("BIC", story.fit.bic), ("AIC", story.fit.aic), ("ICL", story.fit.icl))
    return [*pairs, *((name, f"{value:,.1f}") for name, value in scores)]


def models(story: Story) -> Html:
    """The criterion over the number of components, and the best models."""
    selection = story.selection
    if selection is None:
        return Html()
    drawn, ax = axes(6.8, 3.4)
    plots.selection(selection, ax)
    criterion = selection.criterion.upper()
    caption = (
        f"{criterion} of every model above the lowest: to scale up to 10, logarithmic beyond. Lower is better. "
        f"Dashed: one covariance in common."
    )
    drawing = figure(drawn, f"{criterion} against the number of components", caption)
    return section("How many components, and of what shape", drawing, _models_table(story, selection))


def _models_table(story: Story, selection: Selection) -> Html:
    every, above = selection.table, f"{selection.criterion.upper()} above best"
    head = ("model", "parameters", "log-likelihood", "BIC", "AIC", "ICL", above, "ended")
    rows = [_model(story, c, selection.behind(c)) for c in every[:_LISTED]]
    more = f"The best {_LISTED} of {len(every)} models." if len(every) > _LISTED else ""
    broken = sum(c.reason in (Reason.COLLAPSED, Reason.NOT_FINITE) for c in every)
    note = f"{more} {broken} collapsed and cannot win." if broken else more
    return Html(table(head, rows) + (paragraph(note, "note") if note else ""))


def _model(story: Story, c: Candidate, behind: float) -> list[str]:
    shape = (
        f"{c.components} × {c.covariance}"
        if story.features > 1
        else f"{c.components}, {in_words(c.covariance, 1, c.components)}"
    )
    scores = [f"{value:.2f}" for value in (c.log_likelihood, c.bic, c.aic, c.icl)]
    return [shape, str(c.parameters), *scores, f"{behind:.2f}", c.reason.name.lower().replace("_", " ")]


def density(story: Story) -> Html:
    """The density with the components: a histogram, a plane or a corner plot."""
    draw = {1: _line, 2: _plane}.get(story.features, _corner)
    try:
        drawn = draw(story)
    except NotClosedForm as error:
        return section("Density", paragraph(f"It cannot be drawn: {error}", "note"))
    alt = f"Density of {', '.join(drawn.names)}"
    return section("Density", figure(drawn.drawing, alt, drawn.caption + _sampled(story)))


class _Drawn(NamedTuple):
    """A figure, the columns that it shows, and what is said below it."""

    drawing: Figure
    names: Sequence[str]
    caption: str


def _line(story: Story) -> _Drawn:
    drawing, ax = axes(6.8, 3.4)
    plots.density(story.mixture, story.rows, ax, story.names)
    caption = "Grey: the rows. Black: the density. Colours: each component times its weight."
    return _Drawn(drawing, story.names, caption)


_ELLIPSES = "Ellipses: each component at 1 and 2 standard deviations, which hold 39.3 and 86.5 per cent of it. "


def _plane(story: Story) -> _Drawn:
    drawing, ax = axes(6.8, 4.8)
    plots.density(story.mixture, story.rows, ax, story.names)
    contours = "Grey lines: 0.5, 1.25, 2.25, 3.5, 5, 6.5 and 8 nats below the highest density. "
    return _Drawn(drawing, story.names, contours + _ELLIPSES + "Dots: the rows.")


def _corner(story: Story) -> _Drawn:
    dims = plots.telling(story.mixture, _PANELS)
    drawing = blank(1.8 * len(dims) + 0.4, 1.8 * len(dims) + 0.4)
    plots.corner(story.mixture, story.rows, dims, drawing, story.names)
    names = [story.names[d] for d in dims]
    left_out = f"The {_PANELS} of {story.features} columns in which the components differ most: {listed(names)}. "
    caption = "Diagonal: each column's rows, density and weighted components. Below: pairs of columns. " + _ELLIPSES
    return _Drawn(drawing, names, (left_out if len(dims) < story.features else "") + caption)


def _sampled(story: Story) -> str:
    return " A random sample of 5,000 rows is drawn." if len(story.rows) > 5000 else ""


def components(story: Story) -> Html:
    """The components' weights, means, scales and rows."""
    head, row = {1: _line_table, 2: _plane_table}.get(story.features, _many_table)(story)
    body = [
        [dot(k), f"{100 * weight:.2f} %", *row(k), amount(story.survey.assigned[k].item())]
        for k, weight in enumerate(story.mixture.weights.tolist())
    ]
    note = "Scale: standard deviation within the component. Rows: those for which the component is the likeliest."
    note += " Each counts with its weight." if story.rows.weighted else ""
    parts = [table(["component", "weight", *head, "rows"], body), paragraph(note, "note"), _small(story)]
    return section("Components", *parts)


def _small(story: Story) -> Html:
    """A word on components whose covariance is that of hardly more rows than a plane needs."""
    small = [str(k) for k, rows in enumerate(story.survey.assigned.tolist()) if 0 < rows <= story.features + 1]
    if not small or covariance_name(story.mixture).startswith("tied-"):
        return Html()
    text = (
        f"Few rows: component {', '.join(small)}. So few do not determine a shape, and a likelihood can be high merely "
        f"because a component has shrunk onto them. A weak prior keeps it from that."
    )
    return paragraph(text, "warning")


def _line_table(story: Story):
    mean, scale = _moments(story)
    return ["mean", "scale"], lambda k: [rounded(mean[k][0], scale[k][0]), rounded(scale[k][0], scale[k][0])]


def _plane_table(story: Story):
    mean, scale = _moments(story)
    covariance = story.mixture.components.covariance
    correlation = covariance[:, 0, 1] / (covariance[:, 0, 0] * covariance[:, 1, 1]).sqrt()
    head = [f"{what} of {name}" for what in ("mean", "scale") for name in story.names] + ["correlation"]

    def row(k: int) -> list[str]:
        means = [rounded(m, s) for m, s in zip(mean[k], scale[k], strict=True)]
        return [*means, *(rounded(s, s) for s in scale[k]), f"{correlation[k].item():.3f}"]

    return head, row


def _many_table(story: Story):
    mean, scale = _moments(story)

    def row(k: int) -> list[str]:
        return [f"{rounded(m, s)} ± {rounded(s, s)}" for m, s in zip(mean[k], scale[k], strict=True)]

    return [f"{name}, mean ± scale" for name in story.names], row


def _moments(story: Story) -> tuple[list[list[float]], list[list[float]]]:
    family = story.mixture.components
    mean = family.mean.reshape(story.components, -1)
    return mean.tolist(), family.variance.sqrt().reshape(story.components, -1).tolist()


def trace(story: Story) -> Html:
    """How the fit went."""
    if story.fit is None:
        return Html()
    drawn, ax = axes(6.8, 2.8)
    plots.trace(story.fit, ax)
    words = " ".join(("What the method ascends.", told_of(story.fit.restarts))).strip()
    drawing = figure(drawn, "The objective at each iteration", words)
    return section("How the fit went", drawing)


def unlikely(story: Story) -> Html:
    """The rows of the lowest density."""
    scale = story.mixture.variance.reshape(-1).sqrt().tolist()
    body = [
        [one.row, *map(rounded, one.values, scale), dot(one.component), f"{one.log_density:.3f}"]
        for one in story.survey.least
    ]
    note = "Rows are counted from 0. Look at these first for mistakes in the data, or for what the mixture misses."
    head = ["row", *story.names, "component", "log-density (nats)"]
    return section("The least likely rows", table(head, body), paragraph(note, "note"))


def making(story: Story) -> Html:
    """Versions, method, prior and reason."""
    return made([*story.made.items(), *_method(story)])


def made(pairs: Sequence[tuple[str, object]]) -> Html:
    """How something was made, and by which versions."""
    lines = [(name, _value(value)) for name, value in (*pairs, *_versions())]
    return section("How it was made", table(("what", "value"), lines, "words"))


def _method(story: Story) -> list[tuple[str, object]]:
    if story.fit is None:
        return []
    return [*flat(described(story.fit.method), "method"), ("ended", story.fit.advice)]


def _versions() -> list[tuple[str, object]]:
    python = f"{sys.version_info.major}.{sys.version_info.minor}.{sys.version_info.micro}"
    return [("versions", f"mixtura {__version__}, torch {torch.__version__}, Python {python}, {platform.system()}")]


def _value(value: object) -> Html:
    if isinstance(value, list):
        return escape(_short(value))
    return escape("none" if value is None else number(value, 6) if isinstance(value, float) else value)


def _short(value: object) -> str:
    if isinstance(value, list):
        return "[" + ", ".join(_short(item) for item in value) + "]"
    return number(value) if isinstance(value, float) else str(value)


SECTIONS = (answer, models, density, components, trace, unlikely, making)
