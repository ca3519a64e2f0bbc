"""A page about the mixtures of groups: how well each is described, the worst of them, and those to look at."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from statistics import median

from .._version import __version__
from ..learning import GroupChoice, GroupSelection, Reason
from ..plots.style import color, style
from .digits import amount, count, number
from .drawing import axes
from .html import Html, escape, facts, figure, paragraph, section, table
from .sections import made as making
from .story import listed
from .templates import PAGE

__all__ = ["Groups", "group_page"]

_WORST = 10
_LISTED = 50


@dataclass(frozen=True)
class Groups:
    """The mixtures of groups, and what they are called in the text.

    Arguments:
        found: The best model of each group.
        source: What the rows are called, such as the name of their file.
        by: What tells the groups apart, such as the name of a column.
        made: Lines for the last section.
    """

    found: GroupSelection
    source: str
    by: str
    made: Mapping[str, str]

    @cached_property
    def lines(self) -> tuple[GroupChoice, ...]:
        """A line for each group."""
        return self.found.table

    @cached_property
    def per_row(self) -> list[float]:
        """The log-likelihood of each group, in nats per row; NaN where it could not be fitted."""
        pairs = zip(self.lines, self.found.total.tolist(), strict=True)
        return [line.log_likelihood / total if total > 0 else float("nan") for line, total in pairs]

    @cached_property
    def fitted(self) -> list[int]:
        """The groups that could be fitted, those described worst first."""
        there = [g for g, value in enumerate(self.per_row) if value == value]
        return sorted(there, key=lambda g: self.per_row[g])

    @cached_property
    def odd(self) -> list[int]:
        """The groups whose fit did not converge, or that have none."""
        return [g for g, line in enumerate(self.lines) if line.reason is not Reason.CONVERGED]

    @property
    def answer(self) -> str:
        """The answer, in one sentence."""
        chosen = Counter(_model(self.lines[g]) for g in self.fitted)
        parts = [f"{count(many, 'group')} with {model}" for model, many in chosen.most_common()]
        without = len(self.lines) - len(self.fitted)
        parts += [f"{count(without, 'group')} without a fit"] if without else []
        return f"{listed(parts, 6)}."


def group_page(
    found: GroupSelection, source: str = "the data", by: str = "group", made: Mapping[str, str] | None = None
) -> str:
    """Returns a self-contained HTML page about the mixtures of groups.

    Sections: the question and the answer; how well each group is described; the groups described worst; those whose
    fit did not converge; a table of the groups; how it was made.

    Arguments:
        found: What `select` returned for groups.
        source: What the rows are called in the text, such as the name of their file.
        by: What tells the groups apart, such as the name of a column.
        made: More lines for the last section, such as the command that was typed.

    Raises:
        ImportError: If matplotlib is not installed.

    Example:
        >>> x = torch.cat((torch.arange(40.0), torch.arange(40.0) % 7 + 100 * (torch.arange(40) % 2)))
        >>> found = mx.select(x, components=(1, 2), covariance="full", groups=["a"] * 40 + ["b"] * 40)
        >>> "1 group with 2 components (full)" in mx.report.group_page(found)
        True
    """
    told = Groups(found, source, by, made or {})
    sections = "\n".join(part(told) for part in (_answer, _curve, _worst, _odd, _table, _made))
    title = escape(f"A mixture for each {by} of {source}")
    return PAGE.substitute(title=title, sections=sections, version=escape(__version__))


def _answer(told: Groups) -> Html:
    rows = sum(line.rows for line in told.lines)
    asked = f"Which mixture describes the rows of each {told.by}, of {count(rows, 'row')} in {told.source}?"
    pairs = [("groups", f"{len(told.lines):,}"), ("rows", f"{rows:,}"), ("fitted", f"{len(told.fitted):,}")]
    if told.fitted:
        pairs.append(("median nats per row", number(median(told.per_row[g] for g in told.fitted), 5)))
    return Html("\n".join([paragraph(asked, "asked"), paragraph(told.answer, "answer"), facts(pairs)]))


def _curve(told: Groups) -> Html:
    """Nats per row of every group, those described worst first."""
    if not told.fitted:
        return Html()
    drawing, ax = axes(6.8, 3.0)
    sizes = sorted({told.lines[g].components for g in told.fitted})
    with style():
        for place, size in enumerate(sizes):
            at = [rank for rank, g in enumerate(told.fitted) if told.lines[g].components == size]
            values = [told.per_row[told.fitted[rank]] for rank in at]
            ax.plot(
                at, values, ".", ms=4, color=color(place), label=count(size, "component"), rasterized=len(at) > 2000
            )
        ax.set_xlabel("group, those described worst first")
        ax.set_ylabel("nats per row")
        ax.legend(loc="lower right")
    caption = "Log-likelihood of each group under its own mixture. Groups far below the others deserve a look."
    drawn = figure(drawing, "Nats per row of each group, in rising order", caption)
    return section("How well each group is described", drawn)


def _worst(told: Groups) -> Html:
    lines = [_line(told, g) for g in told.fitted[:_WORST]]
    return section("The groups described worst", table(_HEAD, lines)) if lines else Html()


def _odd(told: Groups) -> Html:
    if not told.odd:
        return Html()
    lines = [(told.lines[g].name, amount(told.lines[g].rows), _ended(told.lines[g])) for g in told.odd[:_LISTED]]
    return section(
        "Groups whose fit did not converge",
        table(("group", "rows", "why"), lines, "words"),
        _cut(len(told.odd)),
    )


def _table(told: Groups) -> Html:
    lines = [_line(told, g) for g in range(len(told.lines))[:_LISTED]]
    return section("Groups", table(_HEAD, lines), _cut(len(told.lines)))


def _made(told: Groups) -> Html:
    return making(list(told.made.items()))


_HEAD = ("group", "rows", "components", "covariance", "nats per row", "log-likelihood", "BIC", "AIC", "ended")


def _line(told: Groups, g: int) -> Sequence[object]:
    line = told.lines[g]
    numbers = (told.per_row[g], line.log_likelihood, line.bic, line.aic)
    shown = [f"{value:.{digits}f}" for value, digits in zip(numbers, (4, 2, 2, 2), strict=True)]
    return [line.name, amount(line.rows), line.components, line.covariance, *shown, _reason(line)]


def _model(line: GroupChoice) -> str:
    return f"{count(line.components, 'component')} ({line.covariance})"


def _reason(line: GroupChoice) -> str:
    return line.reason.name.lower().replace("_", " ")


def _ended(line: GroupChoice) -> str:
    return line.detail or line.reason.value


def _cut(lines: int) -> Html:
    return paragraph(f"The first {_LISTED} of {lines:,}.", "note") if lines > _LISTED else Html()
