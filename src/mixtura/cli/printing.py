"""What a command says on the terminal."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path

from rich.console import Console
from rich.table import Table

from ..learning import Candidate, Fit, Selection
from ..learning.groups.select_groups import GroupSelection
from ..report.digits import amount, rounded
from ..report.story import Story
from .question import Outcome

__all__ = [
    "say",
    "show_components",
    "show_fit",
    "show_found",
    "show_groups",
    "show_models",
    "show_recorded",
    "show_table",
    "shown_path",
]

_MOST = 15  # models or groups listed


def say(text: str, wrap: bool = False) -> None:
    """Prints a text as it is: what looks like markup in a name is not. Sentences may be wrapped, paths not."""
    _console().print(text, soft_wrap=not wrap)


def show_found(found: Outcome) -> None:
    """Prints the models that were tried, or the one."""
    show_fit(found.best) if found.selection is None else show_models(found.selection)


def show_models(found: Selection) -> None:
    """Prints the best models, one a line."""
    table = _table("K", "covariance", "params", "log-likelihood", "BIC", "AIC", "ICL", "ended")
    for candidate in found.table[:_MOST]:
        table.add_row(*_cells(candidate), style="bold" if candidate is found.table[0] else None)
    _show(table)
    if len(found.table) > _MOST:
        say(f"... and {len(found.table) - _MOST} more.")
    if found.advice:
        say(found.advice)


def show_fit(fit: Fit) -> None:
    """Prints one fit's likelihood and criteria."""
    scores = f"BIC {fit.bic:.4f}, AIC {fit.aic:.4f}, ICL {fit.icl:.4f}"
    say(f"log-likelihood {fit.log_likelihood:.4f}, {scores}; {fit.advice}")


def show_components(told: Story) -> None:
    """Prints weight, rows and means with scales of every component."""
    table = _table("component", "weight", "rows", *(f"{name} ± scale" for name in told.names))
    family = told.mixture.components
    mean = family.mean.reshape(told.components, -1).tolist()
    scale = family.variance.sqrt().reshape(told.components, -1).tolist()
    for k, weight in enumerate(told.mixture.weights.tolist()):
        cells = [f"{rounded(m, s)} ± {rounded(s, s)}" for m, s in zip(mean[k], scale[k], strict=True)]
        table.add_row(str(k), f"{100 * weight:.2f} %", amount(told.survey.assigned[k].item()), *cells)
    _show(table)


def show_groups(found: GroupSelection) -> None:
    """Prints how many groups there are and what was chosen for them, and the first of them, one a line."""
    say(f"{found!r}\n")
    table = _table("group", "rows", "K", "covariance", "log-likelihood", "BIC", "ended")
    for line in found.table[:_MOST]:
        scores = [f"{value:.2f}" for value in (line.log_likelihood, line.bic)]
        model = str(line.components), line.covariance
        table.add_row(str(line.name), str(line.rows), *model, *scores, line.reason.name.lower().replace("_", " "))
    _show(table)
    if len(found) > _MOST:
        say(f"... and {len(found) - _MOST} more.")


def show_recorded(told: Mapping[str, str]) -> None:
    """Prints how the rows were recorded, where there is something to say."""
    for what, words in told.items():
        say(f"{what.capitalize()}: {words}.")


def show_table(head: Sequence[str], rows: Iterable[Sequence[str]], words: Sequence[str]) -> None:
    """Prints a table; the columns that are named in ``words`` are text."""
    table = Table(box=None, pad_edge=False, collapse_padding=True, header_style="dim")
    for name in head:
        table.add_column(name, justify="left" if name in words else "right")
    for row in rows:
        table.add_row(*row)
    _show(table)


def shown_path(path: Path) -> str:
    """A path as short as it can be typed here."""
    here = Path.cwd()
    return str(path.relative_to(here) if path.is_relative_to(here) else path)


def _cells(c: Candidate) -> list[str]:
    scores = [f"{value:.2f}" for value in (c.log_likelihood, c.bic, c.aic, c.icl)]
    return [str(c.components), c.covariance, str(c.parameters), *scores, c.reason.name.lower().replace("_", " ")]


def _table(*head: str) -> Table:
    table = Table(box=None, pad_edge=False, collapse_padding=True, header_style="dim")
    for name in head:
        words = name in ("covariance", "ended")
        table.add_column(name, justify="left" if words else "right")
    return table


def _show(table: Table) -> None:
    """Prints a table in its own width: numbers that are cut or broken cannot be read."""
    _console(width=1000).print(table, soft_wrap=True)


def _console(width: int | None = None) -> Console:
    return Console(markup=False, highlight=False, width=width)
