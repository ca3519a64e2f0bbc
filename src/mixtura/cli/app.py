"""The commands. Each reads its options, does one thing with the library, and says what it wrote."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from .. import report as reports
from .._version import __version__
from ..datasets import path as bundled
from ..errors import refuse
from ..mixture import load
from ..plots.style import matplotlib
from . import options as o
from .bayes import bayes
from .diffusion import diffusion
from .errors_of import told_of
from .groups import write_groups
from .guarded import Guarded, said
from .passes import assignments, draws, log_densities
from .printing import say, show_components, show_found, show_groups, show_recorded, shown_path
from .question import Outcome, Question
from .reading import Reading, read_for
from .regress import regress
from .results import SUMMARY, assignments_name, new_folder, write_results
from .tables import check_table, write_table

__all__ = ["app"]

app = typer.Typer(
    cls=Guarded,
    add_completion=False,
    no_args_is_help=True,
    pretty_exceptions_enable=False,
    help="Mixture models from a table to a report: `mixtura demo` shows all of it.",
)
app.add_typer(diffusion, name="diffusion")
app.command()(regress)
app.command()(bayes)


def _version(wanted: bool) -> None:
    if wanted:
        say(__version__)
        raise typer.Exit


_Version = Annotated[bool, typer.Option("--version", callback=_version, is_eager=True, help="Print the version.")]


@app.callback()
def _root(version: _Version = False) -> None:
    pass


@app.command()
def fit(
    data: o.Data,
    out: Annotated[Path, typer.Option(metavar="DIR", help="A new folder for the result.")],
    columns: o.Columns = None,
    drop: o.Drop = None,
    components: o.Components = "1:9",
    covariance: o.Covariance = None,
    criterion: o.Criterion = "bic",
    weight: o.Weight = None,
    errors: o.Errors = None,
    method: o.Method = "em",
    prior: o.Prior = "none",
    seed: o.Seed = 0,
    restarts: o.Restarts = 16,
    max_iterations: o.MaxIterations = None,
    tolerance: o.Tolerance = None,
    assignments_format: Annotated[str | None, typer.Option(help="parquet (the default with pyarrow) or csv.")] = None,
    force: Annotated[bool, typer.Option("--force", help="Replace an earlier result of mixtura at DIR.")] = False,
    by: o.By = None,
    progress: o.Progress = None,
) -> None:
    """Find the best mixture for DATA and write model.safetensors, assignments, summary.json and report.html to DIR.

    Ctrl-C writes the best found so far and exits with 130.
    """
    asked = Question(
        data, columns, weight, components, covariance, criterion, method, prior, seed, restarts, max_iterations,
        tolerance, progress, errors, drop, by,
    )  # fmt: skip
    (_fit if by is None else _fit_groups)(asked, out, assignments_format, force)


def _fit(asked: Question, out: Path, assignments_format: str | None, force: bool) -> None:
    matplotlib()  # for the report: missing, it is better said before the work than after it
    table = assignments_name(assignments_format)
    with new_folder(out, force) as folder:
        found = asked.ask()
        told = write_results(folder, asked, found, table)
    show_found(found)
    say(f"\n{told.answer}\n", wrap=True)
    show_components(told)
    show_recorded(told_of(asked.rows, o.listed(asked.errors)))
    say(f"\nWrote model.safetensors, {table}, summary.json and report.html to {shown_path(out.absolute())}.")
    _stop_if_interrupted(found, "The best so far was written.")
    if not found.best.converged:
        say(said(found.best.advice))


def _fit_groups(asked: Question, out: Path, assignments_format: str | None, force: bool) -> None:
    matplotlib()  # as for one mixture
    table = assignments_name(assignments_format)
    with new_folder(out, force) as folder:
        found = asked.ask_groups()
        write_groups(folder, asked, found, table)
    show_groups(found.selection)
    show_recorded(told_of(asked.rows, o.listed(asked.errors)))
    written = f"model.safetensors, groups.csv, {table}, {SUMMARY} and report.html"
    say(f"\nWrote {written} to {shown_path(out.absolute())}.")


def _stop_if_interrupted(found: Outcome, kept: str) -> None:
    if found.interrupted:
        typer.secho(f"Interrupted. {kept}", err=True)
        raise typer.Exit(130)


@app.command()
def select(
    data: o.Data,
    columns: o.Columns = None,
    drop: o.Drop = None,
    components: o.Components = "1:9",
    covariance: o.Covariance = None,
    criterion: o.Criterion = "bic",
    weight: o.Weight = None,
    errors: o.Errors = None,
    method: o.Method = "em",
    prior: o.Prior = "none",
    seed: o.Seed = 0,
    restarts: o.Restarts = 16,
    max_iterations: o.MaxIterations = None,
    tolerance: o.Tolerance = None,
    out: Annotated[Path | None, typer.Option(metavar="DIR", help="Write what `fit` writes, too.")] = None,
    force: Annotated[bool, typer.Option("--force", help="Replace an earlier result of mixtura at DIR.")] = False,
    by: o.By = None,
    progress: o.Progress = None,
) -> None:
    """Try numbers and shapes of components on DATA and print how each scores; writes nothing without --out."""
    asked = Question(
        data, columns, weight, components, covariance, criterion, method, prior, seed, restarts, max_iterations,
        tolerance, progress, errors, drop, by,
    )  # fmt: skip
    if out is not None:
        return (_fit if by is None else _fit_groups)(asked, out, None, force)
    if by is not None:
        return show_groups(asked.ask_groups().selection)
    found = asked.ask()
    show_found(found)
    show_recorded(told_of(asked.rows, o.listed(asked.errors)))
    _stop_if_interrupted(found, "The models above are those that were tried.")


@app.command()
def score(
    model: o.Model, data: o.Data, out: o.OutTable, columns: o.ModelColumns = None, errors: o.ModelErrors = None
) -> None:
    """Write every row's log-density in nats."""
    check_table(out)
    read = read_for(model, data, o.listed(columns), o.listed(errors))
    write_table(out, log_densities(read.mixture, read.rows))
    _told(read)
    say(f"Wrote {len(read.rows)} log-densities to {out}.")


@app.command()
def assign(
    model: o.Model, data: o.Data, out: o.OutTable, columns: o.ModelColumns = None, errors: o.ModelErrors = None
) -> None:
    """Write every row's likeliest component, its probability, and the row's log-density in nats."""
    check_table(out)
    read = read_for(model, data, o.listed(columns), o.listed(errors))
    write_table(out, assignments(read.mixture, read.rows))
    _told(read)
    say(f"Wrote {len(read.rows)} assignments to {out}.")


def _told(read: Reading) -> None:
    show_recorded(told_of(read.rows, read.errors))


@app.command()
def sample(
    model: o.Model,
    count: Annotated[int, typer.Argument(metavar="N", help="The number of rows to draw.")],
    out: o.OutTable,
    seed: o.Seed = 0,
) -> None:
    """Draw N rows from a model and write them."""
    check_table(out)
    if count < 1:
        refuse("N", "at least 1", count)
    mixture = load(model)
    features = mixture.event_shape.numel()
    names = mixture.columns or (("x",) if features == 1 else tuple(f"x{d}" for d in range(features)))
    write_table(out, draws(mixture, count, names, o.generator(seed)))
    say(f"Wrote {count} draws to {out}.")


@app.command()
def report(
    model: o.Model, data: o.Data, out: o.OutFile, columns: o.ModelColumns = None, errors: o.ModelErrors = None
) -> None:
    """Write a report on how a model describes DATA: one HTML page."""
    mixture, rows, named = read_for(model, data, o.listed(columns), o.listed(errors))
    made = {"model": str(model), "data": str(data), **told_of(rows, named)}
    reports.write(out, mixture.named(None), rows, rows.columns, data.name, made)  # the rows' names, asked for
    say(f"Report: {out.absolute()}")


@app.command()
def demo(
    out: Annotated[Path, typer.Option(metavar="DIR", help="The folder for the result.")] = Path("mixtura-demo"),
    progress: o.Progress = None,
) -> None:
    """Do all of it on the eruptions of Old Faithful; ends by naming the report."""
    data = bundled("old_faithful")
    say("272 eruptions of the Old Faithful geyser: how long each lasted, and the wait for the next, in minutes.")
    say(f"The same by hand: mixtura fit {shown_path(data)} --components 1:9 --out {out}\n")
    asked = Question(data, None, None, "1:9", None, "bic", "em", "none", 0, 16, None, None, progress)
    _fit(asked, out, None, force=True)
    say(f"\nReport: {(out / 'report.html').absolute()}")
