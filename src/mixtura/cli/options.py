"""Arguments and options that several commands share, and how their text is read."""

from __future__ import annotations

import csv
import io
import shlex
from collections.abc import Sequence
from pathlib import Path
from typing import Annotated

import torch
import typer

from ..errors import refuse

__all__ = ["counts", "generator", "joined", "listed"]

Data = Annotated[
    Path, typer.Argument(metavar="DATA", help="A .csv, .tsv, .parquet, .arrow, .feather, .npy or .npz file.")
]
Model = Annotated[Path, typer.Argument(metavar="MODEL", help="A model that `mixtura fit` or `Mixture.save` wrote.")]
Columns = Annotated[str | None, typer.Option(metavar="A,B", help="Columns to use, in order; by default all.")]
ModelColumns = Annotated[
    str | None, typer.Option(metavar="A,B", help="The model's columns in DATA; by default those that it remembers.")
]
Drop = Annotated[str | None, typer.Option(metavar="A,B", help="Columns to leave out, such as names and categories.")]
ModelErrors = Annotated[
    str | None,
    typer.Option(
        metavar="A,B",
        help="Columns that hold the standard deviations of the errors of the model's columns, in its order; by default "
        "those that it remembers.",
    ),
]
Weight = Annotated[str | None, typer.Option(metavar="COLUMN", help="Column that says how much each row counts.")]
Errors = Annotated[
    str | None,
    typer.Option(metavar="A,B", help="Columns that hold the standard deviations of the errors of --columns, in order."),
]
Components = Annotated[
    str, typer.Option(metavar="RANGE", help="Numbers of components to try: 3, or 1:9 (both ends included), or 2,4.")
]
Covariance = Annotated[
    str | None,
    typer.Option(metavar="NAMES", help="Shapes to try: full, diagonal, spherical, tied-full, ... All by default."),
]
By = Annotated[
    str | None,
    typer.Option("--by", metavar="COLUMN", help="One mixture for each group of rows; the column that says which."),
]
Criterion = Annotated[str, typer.Option(help="What chooses among models: bic, aic or icl.")]
Method = Annotated[str, typer.Option(help="How to learn: em or kmeans.")]
Prior = Annotated[str, typer.Option(help="none, or weak: keeps components from collapsing (Fraley and Raftery, 2007).")]
Seed = Annotated[int, typer.Option(help="The same seed gives the same result.")]
Restarts = Annotated[int, typer.Option(help="Starts tried for each model.")]
MaxIterations = Annotated[int | None, typer.Option(help="Most iterations of a fit.")]
Tolerance = Annotated[float | None, typer.Option(help="Gain still to come, in nats per row, at which a fit stops.")]
Progress = Annotated[bool | None, typer.Option(help="Show a progress bar; by default on a terminal.")]
OutFile = Annotated[Path, typer.Option(metavar="FILE", help="The file to write; one that exists is replaced.")]
OutTable = Annotated[
    Path, typer.Option(metavar="FILE", help="A .csv, .tsv, .parquet, .arrow, .feather or .npz file to write.")
]


def listed(text: str | None) -> list[str] | None:
    """The names in a list with commas; None where there is none. A name with a comma stands in double quotes.

    Example:
        >>> from mixtura.cli.options import listed
        >>> listed("eruptions, waiting")
        ['eruptions', 'waiting']
        >>> listed('waiting,"length, mm"')
        ['waiting', 'length, mm']
    """
    if text is None:
        return None
    return [name.strip() for name in next(csv.reader([text], skipinitialspace=True), []) if name.strip()]


def joined(names: Sequence[str]) -> str:
    """Names as they are typed behind an option, quoted for the shell where that is needed.

    Example:
        >>> from mixtura.cli.options import joined
        >>> joined(["waiting", "eruptions"]), joined(["length, mm", "mass (g)"])
        ('waiting,eruptions', '\\'"length, mm",mass (g)\\'')
    """
    line = io.StringIO()
    csv.writer(line, lineterminator="").writerow(names)
    return shlex.quote(line.getvalue())


def counts(text: str) -> list[int]:
    """The whole numbers that a text such as "3", "1:9" or "2,4:6" stands for, both ends included.

    Example:
        >>> from mixtura.cli.options import counts
        >>> counts("2,4:6")
        [2, 4, 5, 6]
    """
    found = [k for part in text.split(",") for k in _span(part.strip(), text)]
    return list(dict.fromkeys(found))


def generator(seed: int) -> torch.Generator:
    """The source of randomness for a seed."""
    if not -(2**63) <= seed < 2**64:
        refuse("--seed", "a whole number from -2**63 to 2**64 - 1", seed)
    return torch.Generator().manual_seed(seed)


def _span(part: str, text: str) -> range:
    low, _, high = part.partition(":")
    try:
        span = range(int(low), int(high or low) + 1)
    except ValueError:
        span = range(0)
    if not span or span[0] < 1:
        refuse("components", "whole numbers of at least 1: 3, or 1:9, or 2,4", repr(text))
    return span
