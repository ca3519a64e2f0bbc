"""``mixtura bayes``: draws of a posterior over mixtures, and a page about them."""

from __future__ import annotations

import sys
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Annotated, Any

import torch
import typer

from .. import bayes as bayesian
from .._version import __version__
from ..bayes.draws.as_mixtures import to_mixtures
from ..bayes.page import page
from ..data import Rows
from ..learning.results.relabel import average
from ..mixture.saving import save
from ..plots.style import matplotlib
from . import options as o
from .errors_of import observation_of, told_of
from .printing import say, shown_path
from .reading import chosen, read, seen
from .results import new_folder, write_summary
from .tables import write_table

__all__ = ["bayes"]

_KEPT = ("posterior", "sample_stats", "prior", "observed_data", "constant_data")


@dataclass(frozen=True)
class Asked:
    """Data and a model, as they were typed."""

    data: Path
    columns: str | None
    drop: str | None
    components: int
    family: str | None
    ordered: str | None
    weight: str | None
    errors: str | None
    seed: int

    @cached_property
    def _chosen(self) -> Any:
        apart = [*(o.listed(self.errors) or []), *filter(None, [self.weight])]
        return chosen(self.data, o.listed(self.columns), o.listed(self.drop), apart)

    @cached_property
    def recorded(self) -> Rows:
        """The rows as they are in the file."""
        return read(self.data, self._chosen, self.weight)

    @cached_property
    def model(self) -> bayesian.Model:
        """The model, with weak priors."""
        observation = observation_of(self.recorded, self.data, self._chosen, o.listed(self.errors))
        return bayesian.Model(self.components, self.family, ordered=self.ordered, observation=observation)

    @cached_property
    def posterior(self) -> bayesian.Posterior:
        """The model and its rows."""
        return self.model.posterior(self.recorded)

    @property
    def made(self) -> dict[str, str]:
        """How it was made, for a page."""
        rows = seen(self.recorded, self.model.observation)
        return {"data": str(self.data), **told_of(rows, o.listed(self.errors)), "seed": str(self.seed)}


def bayes(
    data: o.Data,
    out: Annotated[Path, typer.Option(metavar="DIR", help="A new folder for the result.")],
    components: Annotated[int, typer.Option(metavar="K", help="Number of components.")],
    columns: o.Columns = None,
    drop: o.Drop = None,
    family: Annotated[str | None, typer.Option(help="Such as Poisson or StudentT; Gaussians by default.")] = None,
    ordered: Annotated[
        str | None, typer.Option(metavar="NAME", help="A parameter in whose order components stand, such as loc.")
    ] = None,
    draws: Annotated[int, typer.Option(help="Draws of each chain that are kept.")] = 1000,
    tune: Annotated[int, typer.Option(help="Draws of each chain before them.")] = 1000,
    chains: Annotated[int, typer.Option(help="Number of chains.")] = 4,
    target_accept: Annotated[float, typer.Option(help="Nearer to 1 where there are divergences.")] = 0.8,
    weight: o.Weight = None,
    errors: o.Errors = None,
    seed: o.Seed = 0,
    force: Annotated[bool, typer.Option("--force", help="Replace an earlier result of mixtura at DIR.")] = False,
    progress: o.Progress = None,
) -> None:
    """Draw mixtures of K components from their posterior; write draws.nc, model.safetensors, labels, summary, report.

    Ctrl-C writes the draws so far.
    """
    matplotlib()  # for the report: missing, it is better said before the work than after it
    asked = Asked(data, columns, drop, components, family, ordered, weight, errors, seed)
    with new_folder(out, force) as folder:
        shown = sys.stdout.isatty() if progress is None else progress
        found = bayesian.sampled(asked.posterior, draws, tune, chains, target_accept, o.generator(seed), shown)
        _write(folder, asked, found)
    say(bayesian.summary(found), wrap=True)
    say(f"\n{bayesian.diagnose(found)}", wrap=True)
    written = "draws.nc, model.safetensors, labels.csv, summary.json and report.html"
    say(f"\nWrote {written} to {shown_path(out.absolute())}.")


def _write(folder: Path, asked: Asked, found: Any) -> None:
    mixture = average(to_mixtures(found, asked.posterior)).named(asked.recorded.columns)
    save(mixture, folder / "model.safetensors")
    found.to_netcdf(str(folder / "draws.nc"), groups=[group for group in _KEPT if group in found.groups()])
    chances = bayesian.recover_labels(found, asked.recorded, asked.model)
    write_table(folder / "labels.csv", [_labels(chances)])
    write_summary(folder, _summary(asked, found))
    text = page(found, asked.posterior, asked.data.name, asked.made)
    (folder / "report.html").write_text(text, encoding="utf-8")


def _labels(chances: torch.Tensor) -> dict[str, Any]:
    """Each row's likeliest component, and the posterior probability of each."""
    each = {f"probability {k}": chances[:, k].numpy() for k in range(chances.shape[1])}
    return {"component": chances.argmax(-1).numpy(), **each}


def _summary(asked: Asked, found: Any) -> dict[str, Any]:
    """The answer for programs."""
    said = bayesian.diagnose(found)
    numbers = [
        {"name": one.name, "component": one.component, "mean": one.mean, "scale": one.scale, "low": one.low,
         "high": one.high, "r_hat": one.r_hat, "effective": one.effective}
        for one in bayesian.intervals(found)
    ]  # fmt: skip
    question = {**asked.made, "components": asked.components, "model": str(asked.posterior)}
    made = {"mixtura": __version__, "torch": torch.__version__, "question": question}
    return {**made, "remarks": list(said.remarks), "divergences": said.divergences, "numbers": numbers}
