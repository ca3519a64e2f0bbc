"""The folder that `fit` writes: the model, every row's component, a summary for programs and a report for people."""

from __future__ import annotations

import importlib.util
import json
import math
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import torch

from .. import report
from .._version import __version__
from .._writing import whole_folder
from ..errors import MixtureError, refuse
from ..learning import Candidate, Fit
from ..report.story import Story, covariance_name, story
from .errors_of import told_of
from .options import listed
from .passes import assignments
from .question import Outcome, Question
from .tables import write_table

__all__ = [
    "FORMATS",
    "SUMMARY",
    "asked",
    "assignments_name",
    "finite",
    "made",
    "new_folder",
    "summary",
    "write_results",
    "write_summary",
]

FORMATS = {"parquet": "assignments.parquet", "csv": "assignments.csv"}
SUMMARY = "summary.json"
_NEW = "--out must be a new folder"


@contextmanager
def new_folder(path: Path, force: bool) -> Iterator[Path]:
    """Yields a temporary folder that becomes ``path`` at the end; refuses to replace what is not ours.

    Raises:
        MixtureError: If there is something at ``path`` already, another process writes it, or its folder cannot be
            written.
    """
    with whole_folder(path, "--out") as folder:
        _check_free(path, force)
        yield folder
        _check_free(path, force)  # work takes time


def _check_free(path: Path, force: bool) -> None:
    if not (path.exists() or path.is_symlink()):
        return
    ours = path.is_dir() and not path.is_symlink() and _is_ours(path / SUMMARY)
    if not ours:
        raise MixtureError(f"{_NEW}; {path} exists and was not written by mixtura. Choose another name.")
    if not force:
        raise MixtureError(f"{_NEW}; {path} holds an earlier result. Add --force to replace it.")


def _is_ours(path: Path) -> bool:
    try:
        return "mixtura" in json.loads(path.read_text(encoding="utf-8"))
    except (OSError, ValueError, TypeError):
        return False


def assignments_name(wanted: str | None) -> str:
    """The file of the assignments: Parquet where pyarrow is installed, unless another format is asked for."""
    wanted = wanted or ("parquet" if importlib.util.find_spec("pyarrow") else "csv")
    if wanted not in FORMATS:
        refuse("--assignments-format", f"one of {', '.join(FORMATS)}", repr(wanted))
    return FORMATS[wanted]


def write_results(folder: Path, question: Question, found: Outcome, table: str) -> Story:
    """Writes the four files, and returns the story that the report tells."""
    mixture, rows = found.best.mixture, question.rows
    told = story(found.model, source=question.data.name, made=made(question))
    found.best.save(folder / "model.safetensors", listed(question.errors))
    write_table(folder / table, assignments(mixture, rows))
    write_summary(folder, summary(question, found, told))
    (folder / "report.html").write_text(report.render(told), encoding="utf-8")
    return told


def summary(question: Question, found: Outcome, told: Story) -> dict[str, Any]:
    """The answer for programs: everything the report says in numbers."""
    best = found.best
    table = () if found.selection is None else found.selection.table
    return {
        **asked(question),
        "answer": told.answer,
        "fit": _fit(best),
        "components": _components(told),
        "least_likely_rows": [one._asdict() for one in told.survey.least],
        "models": [_model(candidate) for candidate in table],
    }


def asked(question: Question) -> dict[str, Any]:
    """What every summary begins with: the question, the rows, and by which versions it was answered."""
    return {
        "mixtura": __version__,
        "torch": torch.__version__,
        "question": question.typed,
        "rows": len(question.rows),
        "columns": question.rows.columns and list(question.rows.columns),
    }


def write_summary(folder: Path, summary: dict[str, Any]) -> None:
    """Writes the summary for programs."""
    text = json.dumps(finite(summary), indent=2, allow_nan=False)
    (folder / SUMMARY).write_text(text + "\n", encoding="utf-8")


def _fit(best: Fit) -> dict[str, Any]:
    return {
        "components": best.mixture.logits.shape[-1],
        "covariance": covariance_name(best.mixture),
        "parameters": best.parameters,
        "log_likelihood": best.log_likelihood,
        "bic": best.bic,
        "aic": best.aic,
        "icl": best.icl,
        "converged": best.converged,
        "reason": best.reason.name,
        "advice": best.advice,
        "iterations": best.iterations,
        "trace": best.trace.tolist(),
        "restarts": [{**one._asdict(), "reason": one.reason.name} for one in best.restarts],
        "method": report.described(best.method),
    }


def _components(told: Story) -> list[dict[str, Any]]:
    family = told.mixture.components
    parts = zip(told.mixture.weights, family.mean, family.covariance, told.survey.assigned, strict=True)
    return [
        {"weight": weight.item(), "mean": mean.tolist(), "covariance": covariance.tolist(), "rows": rows.item()}
        for weight, mean, covariance, rows in parts
    ]


def _model(candidate: Candidate) -> dict[str, Any]:
    return {**candidate._asdict(), "reason": candidate.reason.name}


def made(question: Question) -> dict[str, str]:
    """How the answer was reached, for a page."""
    made = {"data": str(question.data)}
    if question.weight:
        made["row weights"] = f"column {question.weight}"
    made.update(told_of(question.rows, listed(question.errors)))
    return {**made, "seed": str(question.seed), "starts for each model": str(question.restarts)}


def finite(value: Any) -> Any:
    """The same with null for numbers that JSON does not have."""
    if isinstance(value, dict):
        return {key: finite(item) for key, item in value.items()}
    if isinstance(value, list | tuple):
        return [finite(item) for item in value]
    return None if isinstance(value, float) and not math.isfinite(value) else value
