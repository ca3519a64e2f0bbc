"""``mixtura diffusion``: posterior samplers against posteriors that are known."""

from __future__ import annotations

import inspect
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated, Any

import torch
import typer
from rich.progress import Progress

from .._version import __version__
from ..diffusion import bench as benches
from ..diffusion import problems as known
from ..diffusion.problems.registry import maker
from ..errors import refuse
from ..plots.style import matplotlib
from . import options as o
from .printing import say, show_table, shown_path
from .results import new_folder, write_summary

__all__ = ["diffusion"]

diffusion = typer.Typer(no_args_is_help=True, help="Hold posterior samplers of diffusion models against the truth.")


@dataclass(frozen=True)
class Asked:
    """Problems, rules and settings, as they were typed."""

    problem: str
    d: int | None
    dy: int | None
    seeds: int
    guidance: str
    samples: int
    steps: int

    @property
    def rules(self) -> dict[str, benches.Rule]:
        """The rules by name."""
        names = o.listed(self.guidance)
        return benches.chosen(None if names == ["all"] else names)

    def problems(self) -> Iterator[known.Problem]:
        """The problem of every seed, from its own first; where a problem has none, it is the same again."""
        sizes = {name: value for name, value in (("d", self.d), ("d_y", self.dy)) if value is not None}
        first = known.arguments(self.problem).get("seed")
        for count in range(self.seeds):
            seed = {} if first is None else {"seed": first + count}
            yield known.named(self.problem, **sizes, **seed)

    @property
    def made(self) -> dict[str, str]:
        """How it was made, for the report."""
        sampler = f"DDIM with eta = 1 in {self.steps} steps, from N(0, I); exact-kernel and daps draw their own"
        return {
            "problem": self.problem,
            "seeds": str(self.seeds),
            "samples": str(self.samples),
            "sampler": sampler,
        }


@diffusion.command()
def problems() -> None:
    """List the problems that `bench` knows."""
    rows = [(name, _arguments(name), _about(name)) for name in known.names()]
    show_table(("problem", "arguments", "what it is"), rows, words=("problem", "arguments", "what it is"))


@diffusion.command()
def bench(
    problem: Annotated[str, typer.Option(metavar="NAME", help="One that `problems` lists.")] = "cardoso2023",
    d: Annotated[int | None, typer.Option(help="Coordinates of a draw.")] = None,
    dy: Annotated[int | None, typer.Option(help="Directions that are recorded.")] = None,
    seeds: Annotated[int, typer.Option(help="Number of problems, of one seed each.")] = 5,
    guidance: Annotated[str, typer.Option(metavar="NAMES", help="all, or names such as exact,tmpd,dps.")] = "all",
    samples: Annotated[int, typer.Option(help="Rows that each rule draws.")] = 500,
    steps: Annotated[int, typer.Option(help="Steps of the sampler.")] = 50,
    out: Annotated[Path, typer.Option(metavar="DIR", help="A new folder for the result.")] = Path("mixtura-diffusion"),
    force: Annotated[bool, typer.Option("--force", help="Replace an earlier result of mixtura at DIR.")] = False,
    progress: o.Progress = None,
) -> None:
    """Draw by every guidance, measure against the exact posterior, and write summary.json and report.html to DIR."""
    if seeds < 1:
        refuse("--seeds", "at least 1", seeds)
    matplotlib()  # for the report: missing, it is better said before the work than after it
    asked = Asked(problem, d, dy, seeds, guidance, samples, steps)
    setting, rules = benches.Setting(samples, steps), asked.rules
    with new_folder(out, force) as folder:
        with _bar(seeds, sys.stdout.isatty() if progress is None else progress) as told:
            cells = [
                cell
                for seed, one in enumerate(asked.problems())
                for cell in told(benches.compare(one, rules, setting, seed=seed))
            ]
        _write(folder, asked, cells)
    _show(benches.summarised(cells))
    say(f"\nWrote summary.json and report.html to {shown_path(out.absolute())}.")


def _write(folder: Path, asked: Asked, cells: list[benches.Cell]) -> None:
    title = f"Posterior samplers on {asked.problem}"
    (folder / "report.html").write_text(benches.page(title, cells, asked.made), encoding="utf-8")
    lines = [line._asdict() for line in benches.summarised(cells)]
    made = {"mixtura": __version__, "torch": torch.__version__, "question": asked.made}
    write_summary(folder, {**made, "lines": lines, "cells": [cell._asdict() for cell in cells]})


def _show(lines: list[benches.Line]) -> None:
    """One line a rule: the median of each metric, and for how many problems the samples could be exact."""
    metrics = list(dict.fromkeys(line.metric for line in lines))
    by = {(line.rule, line.metric): line for line in lines}
    rules = list(dict.fromkeys(line.rule for line in lines))
    first = metrics[0]
    rows = [("floor", *(f"{by[rules[0], metric].floor:.3g}" for metric in metrics), "", "")]
    rows += [
        (
            rule,
            *(benches.shown(by[rule, metric].value, by[rule, metric].floor) for metric in metrics),
            _exact(by[rule, first]),
            f"{by[rule, first].seconds:.2f}",
        )
        for rule in rules
    ]
    show_table(("rule", *metrics, "could be exact", "seconds"), rows, words=("rule",))


def _exact(line: benches.Line) -> str:
    return f"{line.exact} of {line.problems}"


def _arguments(name: str) -> str:
    return " ".join(f"{key}={value}" for key, value in known.arguments(name).items())


def _about(name: str) -> str:
    """The first sentence of a problem's own words."""
    text = inspect.getdoc(maker(name)) or ""
    return text.split("\n")[0].removeprefix("Returns ").replace(":math:", "").replace("`", "")


@contextmanager
def _bar(count: int, wanted: bool) -> Iterator[Any]:
    with Progress(disable=not wanted) as shown:
        task = shown.add_task("problems", total=count)

        def told(cells: Iterator[benches.Cell]) -> Iterator[benches.Cell]:
            yield from cells
            shown.advance(task)

        yield told
