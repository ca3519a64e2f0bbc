"""One page about draws of a posterior: what they say, whether to trust them, and what they predict."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from functools import cached_property

from .. import plots
from .._version import __version__
from ..report.digits import count, rounded
from ..report.drawing import axes, blank
from ..report.html import Html, dot, escape, facts, figure, paragraph, section, table
from ..report.sections import made
from ..report.templates import PAGE
from . import pictures
from .draws.diagnosis import Diagnosis, diagnose
from .draws.read_back import Drawn, set_of
from .draws.words import Interval, intervals
from .posterior import Posterior

__all__ = ["page"]

_COLUMNS = 4  # whose predicted rows are drawn
_LISTED = 60  # lines of the table


@dataclass(frozen=True)
class _Told:
    idata: Drawn
    posterior: Posterior
    source: str
    made: Mapping[str, str]

    @cached_property
    def found(self) -> list[Interval]:
        return intervals(self.idata)

    @cached_property
    def diagnosis(self) -> Diagnosis:
        return diagnose(self.idata)


def page(idata: Drawn, posterior: Posterior, source: str = "the data", made: Mapping[str, str] | None = None) -> str:
    """Returns a self-contained HTML page about draws of a posterior.

    Sections: the question and the answer; what the posterior says of each number, with R-hat and effective sizes;
    where the chains went; rows drawn anew beside those recorded; the density, of one column; how it was made, priors
    included.

    Arguments:
        idata: What sampling returned.
        posterior: What was drawn from.
        source: What the rows are called in the text, such as the name of their file.
        made: More lines for the last section, such as the command that was typed.

    Raises:
        ImportError: If matplotlib or ArviZ is not installed.

    Example:
        >>> posterior = mx.bayes.Model(2, ordered="loc").posterior(mx.datasets.old_faithful()[:, 0])
        >>> idata = mx.bayes.inference_data(posterior, posterior.start() + 0.01 * torch.randn(4, 50, posterior.size))
        >>> "<h2>Where the chains went</h2>" in mx.bayes.page(idata, posterior)
        True
    """
    told = _Told(idata, posterior, source, made or {})
    parts = (_answer, _numbers, _chains, _predicted, _density, _making)
    title = escape(f"A Bayesian mixture for {source}")
    return PAGE.substitute(title=title, sections="\n".join(part(told) for part in parts), version=escape(__version__))


def _answer(told: _Told) -> Html:
    rows, components = len(told.posterior.rows), told.posterior.components
    asked = f"Which mixtures of {count(components, 'component')} may {count(rows, 'row')} of {told.source} come from?"
    sound = told.diagnosis.sound
    answer = (
        f"{'The draws can be trusted' if sound else 'The draws are to be read with care'}: {told.diagnosis.numbers}."
    )
    warnings = [paragraph(one, "warning") for one in told.diagnosis.remarks]
    return Html("\n".join([paragraph(asked, "asked"), paragraph(answer, "answer"), *warnings, facts(_facts(told))]))


def _facts(told: _Told) -> list[tuple[str, str]]:
    posterior = set_of(told.idata, "posterior")
    return [
        ("rows", f"{len(told.posterior.rows):,}"),
        ("components", str(told.posterior.components)),
        ("numbers learned", str(told.posterior.size)),
        ("chains", str(posterior.sizes["chain"])),
        ("draws of each", f"{posterior.sizes['draw']:,}"),
        ("divergences", str(told.diagnosis.divergences)),
    ]


def _numbers(told: _Told) -> Html:
    few = told.found[:_LISTED]
    drawn, ax = axes(6.8, 0.6 + 0.22 * len(few))
    pictures.interval_lines(told.idata, ax, _LISTED)
    caption = "Points: means. Lines: nine tenths of the draws, as many being left out on either side."
    head = ("component", "parameter", "mean", "scale", "from", "to", "R-hat", "effective draws")
    more = f"The first {_LISTED} of {len(told.found)}. " if len(told.found) > _LISTED else ""
    note = more + "Scale: standard deviation of the draws. R-hat over 1.01: the chains do not agree."
    drawing = figure(drawn, "The interval that each number lies in", caption)
    return section("What the posterior says", drawing, table(head, map(_line, few)), paragraph(note, "note"))


def _line(one: Interval) -> list[object]:
    numbers = [rounded(value, one.scale) for value in (one.mean, one.scale, one.low, one.high)]
    whose = "all" if one.component is None else dot(one.component)
    return [whose, one.name, *numbers, f"{one.r_hat:.3f}", f"{one.effective:,.0f}"]


def _chains(told: _Told) -> Html:
    names = [name for name in told.posterior.names if name != "correlation"]
    drawn = blank(6.8, 1.1 * len(names) + 0.4)
    pictures.traces(told.idata, names, drawn)
    caption = "Each line is a chain, in the colour of its component. Where one wanders, or stays, draws are too few."
    return section("Where the chains went", figure(drawn, "Parameters over the draws", caption))


def _predicted(told: _Told) -> Html:
    columns = min(_COLUMNS, told.posterior.rows.event_shape.numel())
    drawn = blank(6.8, 2.6 * ((columns + 1) // 2))
    with plots.style():
        places = drawn.subplots((columns + 1) // 2, min(2, columns), squeeze=False).ravel()
    for column in range(columns):
        pictures.predictive(told.idata, column, places[column])
    caption = (
        "Line: the rows. Band: rows drawn anew, in the place of each, as they would be recorded, nine times in ten."
    )
    return section("What it predicts", figure(drawn, "Rows drawn anew beside the rows", caption))


def _density(told: _Told) -> Html:
    if told.posterior.rows.event_shape or told.posterior.features is not None:
        return Html()
    drawn, ax = axes(6.8, 3.0)
    pictures.bands(told.idata, posterior=told.posterior, ax=ax)
    caption = "Band: where the density lies in nine tenths of the draws at each point, before any observation."
    return section("Density", figure(drawn, "The density and its band", caption))


def _making(told: _Told) -> Html:
    about = set_of(told.idata, "posterior").attrs
    model = [(f"model, line {number + 1}", line) for number, line in enumerate(str(told.posterior).split("\n"))]
    return made([*told.made.items(), *model, ("ended", about.get("ended", "")), ("engine", about.get("engine", ""))])
