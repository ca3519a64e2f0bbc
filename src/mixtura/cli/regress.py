"""``mixtura regress``: from a table to the distribution of one of its columns, given others."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Annotated, Any

import torch
import typer
from torch import Tensor

from .. import report
from .._version import __version__
from ..data import TensorRows, column_names, names_but
from ..errors import MixtureError, refuse
from ..learning import EM
from ..learning.fit import fit
from ..mixture import Mixture, Prior
from ..observation import Missing
from ..plots.style import matplotlib
from ..report import Foretold, Tried
from ..report.digits import count
from ..report.foretold import numbers_given
from ..scoring import pit, quantiles
from . import options as o
from .guarded import said
from .printing import say, show_table, shown_path
from .reading import chosen, read
from .results import new_folder, write_summary
from .tables import Piece, write_table

__all__ = ["regress"]

_FOLDS = 3  # by which models are compared
_BLOCK = 2**15
_PREDICTIONS = "predictions.csv"


@dataclass(frozen=True)
class Asked:
    """What was typed."""

    data: Path
    target: str
    features: Sequence[str] | None
    drop: Sequence[str] | None
    weight: str | None
    components: Sequence[int]
    covariance: Sequence[str]
    held_out: float
    level: float
    restarts: int
    seed: int

    def check(self) -> None:
        """Refuses numbers that make no sense, before any work."""
        for name, share in (("--held-out", self.held_out), ("--level", self.level)):
            if not 0 < share < 1:
                refuse(name, "between 0 and 1", share)
        if self.features is not None and self.target in self.features:
            refuse("--features", f"columns other than the target {self.target}", o.joined(self.features))

    @cached_property
    def table(self) -> TensorRows:
        """The features, and the target as the last column."""
        apart = [self.target, *filter(None, [self.weight])]
        names = chosen(self.data, self.features, self.drop, apart) or names_but(self.data, apart)
        if names is None:
            refuse("DATA", "a table whose columns have names", str(self.data))
        self._check_target()
        rows = read(self.data, [*names, self.target], self.weight)
        return TensorRows(rows.tensor().double(), rows.weight, (*names, self.target))

    def _check_target(self) -> None:
        known = column_names(self.data)
        if self.target not in known:
            refuse("--target", f"the name of a column: {o.joined(known)}", repr(self.target))
        try:
            read(self.data, [self.target])
        except MixtureError as error:
            raise MixtureError(f"--target must be a column of numbers. {error}".split(" Leave out")[0]) from error

    @cached_property
    def parted(self) -> tuple[Tensor, Tensor]:
        """The numbers of the rows to learn from, and of those held out; rows without a target are neither."""
        y, weight = self.table.tensor()[:, -1], self.table.each_weight
        there = (~y.isnan() & (weight > 0)).nonzero().squeeze(-1)
        order = there[torch.randperm(len(there), generator=o.generator(self.seed))]
        held = round(self.held_out * len(there))
        if not 0 < held <= len(there) - 2:
            came = f"{count(len(there), 'row')} with a {self.target}"
            refuse("DATA", "a table of enough rows, of which --held-out leaves some", came)
        return order[held:].sort().values, order[:held].sort().values

    def learned(self, index: Tensor, components: int, covariance: str) -> Mixture:
        """The joint mixture of some rows."""
        rows = self.table.take(index)
        observation = Missing() if bool(rows.tensor().isnan().any()) else None
        method = EM(prior=Prior.weak(rows, components))
        source = o.generator(self.seed)
        found = fit(rows, components, covariance, method, observation, restarts=self.restarts, generator=source)
        return found.mixture.order()

    def tried(self) -> list[Tried]:
        """Every model, by the log-density of rows left out in turn; the best first."""
        pairs = [(k, name) for k in self.components for name in self.covariance]
        if len(pairs) == 1:
            return [Tried(*pairs[0], float("nan"))]
        found = [Tried(*pair, self._left_out(*pair)) for pair in pairs]
        return sorted(found, key=lambda one: -one.log_density)

    def _left_out(self, components: int, covariance: str) -> float:
        index, total, mass = self.parted[0], 0.0, 0.0
        fold = torch.arange(len(index)) % _FOLDS
        fold = fold[torch.randperm(len(index), generator=o.generator(self.seed))]
        for one in range(_FOLDS):
            joint = self.learned(index[fold != one], components, covariance)
            x, weight = self.table.tensor()[index[fold == one]], self.table.each_weight[index[fold == one]]
            density = numbers_given(joint, x[:, :-1]).log_prob(x[:, -1])
            total, mass = total + float((weight * density).sum()), mass + float(weight.sum())
        return total / mass

    @property
    def typed(self) -> dict[str, Any]:
        """The settings, by their names on the command line."""
        names = list(self.table.columns or ())
        settings = {"data": str(self.data), "target": self.target, "features": names[:-1], "weight": self.weight}
        settings |= {"components": list(self.components), "covariance": list(self.covariance)}
        return settings | {name: getattr(self, name) for name in ("held_out", "level", "restarts", "seed")}

    @property
    def made(self) -> dict[str, str]:
        """How it was made, for the page."""
        gaps = int(self.table.tensor()[:, :-1].isnan().any(-1).sum())
        lines = {"data": str(self.data), "features": o.joined((self.table.columns or ())[:-1])}
        lines |= {"row weights": f"column {self.weight}"} if self.weight else {}
        lines |= {"missing cells": f"in {gaps} of {len(self.table)} rows; each counts with what it has"} if gaps else {}
        return lines | {
            "method": "EM under the weak prior (Fraley and Raftery, 2007), jointly for features and target",
            "chosen by": f"log-density of the target in {_FOLDS} folds",
            "seed": str(self.seed),
            "starts for each model": str(self.restarts),
        }


def regress(
    data: o.Data,
    target: Annotated[str, typer.Option(metavar="COLUMN", help="The column to foretell.")],
    out: Annotated[Path, typer.Option(metavar="DIR", help="A new folder for the result.")],
    features: Annotated[
        str | None, typer.Option(metavar="A,B", help="Columns to foretell from; by default all.")
    ] = None,
    drop: o.Drop = None,
    weight: o.Weight = None,
    components: o.Components = "1:5",
    covariance: Annotated[str, typer.Option(metavar="NAMES", help="Shapes to try, of all columns together.")] = "full",
    held_out: Annotated[float, typer.Option(help="Share of the rows to judge by, not to learn from.")] = 0.25,
    level: Annotated[float, typer.Option(help="Share of targets that an interval is to hold.")] = 0.9,
    seed: o.Seed = 0,
    restarts: o.Restarts = 4,
    force: Annotated[bool, typer.Option("--force", help="Replace an earlier result of mixtura at DIR.")] = False,
) -> None:
    """Foretell a column of DATA from others: a distribution for each row. Writes model, predictions and report to DIR.

    The model is a mixture of all columns together, conditioned on those that a row has. Rows held out say how well it
    foretells, and make intervals of which a share --level is sure to hold new targets.
    """
    matplotlib()  # for the report: missing, it is better said before the work than after it
    shapes, counts = o.listed(covariance) or ["full"], o.counts(components)
    asked = Asked(
        data, target, o.listed(features), o.listed(drop), weight, counts, shapes, held_out, level, restarts, seed
    )
    asked.check()
    try:
        with new_folder(out, force) as folder:
            told = _foretold(asked)
            _write(folder, asked, told)
    except MixtureError as error:
        raise MixtureError(said(str(error)).replace("--columns", "--features")) from error
    say(f"{told.answer}\n", wrap=True)
    rows = [(str(one.components), one.covariance, f"{one.log_density:.4f}") for one in told.tried]
    show_table(("K", "covariance", "nats per row left out"), rows, words=("covariance",))
    say(f"\nWrote model.safetensors, {_PREDICTIONS}, summary.json and report.html to {shown_path(out.absolute())}.")


def _foretold(asked: Asked) -> Foretold:
    index, held = asked.parted
    tried = asked.tried()
    joint = asked.learned(index, tried[0].components, tried[0].covariance).named(asked.table.columns)
    rows = asked.table.tensor()[held]
    weight = asked.table.each_weight[held] if asked.weight else None
    about = asked.level, tried, len(index), asked.data.name, asked.made
    return Foretold(joint, rows[:, :-1], rows[:, -1], held, weight, *about)


def _write(folder: Path, asked: Asked, told: Foretold) -> None:
    told.joint.save(folder / "model.safetensors")
    write_table(folder / _PREDICTIONS, _predictions(asked, told))
    write_summary(folder, _summary(asked, told))
    (folder / "report.html").write_text(report.regression_page(told), encoding="utf-8")


def _predictions(asked: Asked, told: Foretold) -> Iterator[Piece]:
    """Each row's number, whether it was held out, its target, and its distribution."""
    table, outside = asked.table.tensor(), 0.5 * (1 - asked.level)
    held = torch.zeros(len(table), dtype=torch.int64).index_fill(0, asked.parted[1], 1)
    for start in range(0, len(table), _BLOCK):
        rows = table[start : start + _BLOCK]
        y, given = rows[:, -1], numbers_given(told.joint, rows[:, :-1])
        interval, there = told.calibration.interval(given, asked.level), ~y.isnan()
        known = torch.where(there, y, 0.0)
        low, middle, high = quantiles(given, [outside, 0.5, 1 - outside])
        yield {
            "row": torch.arange(start, start + len(rows)),
            "held_out": held[start : start + len(rows)],
            asked.target: y,
            "mean": given.mean,
            f"q{outside:.4g}": low,
            "q0.5": middle,
            f"q{1 - outside:.4g}": high,
            "low": interval.low,
            "high": interval.high,
            "log_density": given.log_prob(known).where(there, torch.nan),
            "pit": pit(given, known).where(there, torch.nan),
        }


def _summary(asked: Asked, told: Foretold) -> dict[str, Any]:
    """The answer for programs."""
    found = told.judgement
    worst = found.most_surprising().tolist()
    return {
        "mixtura": __version__,
        "torch": torch.__version__,
        "question": asked.typed,
        "rows": len(asked.table),
        "learned": told.learned,
        "answer": told.answer,
        "held_out": {
            "rows": len(told.y),
            "log_density": found.mean_log_density,
            "crps": found.crps,
            "coverage": [one._asdict() for one in found.coverage],
            "log_density_without_features": told.nothing.mean_log_density,
            "crps_without_features": told.nothing.crps,
        },
        "calibrated_tail": told.calibration.cut(asked.level),
        "features_alone": dict(told.alone),
        "models": [one._asdict() for one in told.tried],
        "most_surprising_rows": [
            {"row": int(told.numbers[i]), "log_density": found.log_density[i].item(), "p": told.p_values[i].item()}
            for i in worst
        ],
    }
