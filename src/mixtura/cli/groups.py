"""The folder that `fit --by` writes: one batched model, tables of groups and of rows, a summary and a report."""

from __future__ import annotations

import csv
from pathlib import Path
from typing import Any

import torch

from .. import report
from .passes import group_assignments
from .question import GroupOutcome, Question
from .results import asked, made, write_summary
from .tables import write_table

__all__ = ["write_groups"]


def write_groups(folder: Path, question: Question, found: GroupOutcome, table: str) -> None:
    """Writes the model, whose entries are the groups in the order of the table, the tables, summary and report."""
    found.mixture.save(folder / "model.safetensors")
    write_table(folder / table, group_assignments(found.mixture, question.rows, found.groups))
    lines = _lines(found)
    with (folder / "groups.csv").open("w", newline="", encoding="utf-8") as file:
        writer = csv.DictWriter(file, list(lines[0]), lineterminator="\n")
        writer.writeheader()
        writer.writerows(lines)
    write_summary(folder, {**asked(question), "groups": lines})
    page = report.group_page(found.selection, question.data.name, question.by or "group", made(question))
    (folder / "report.html").write_text(page, encoding="utf-8")


def _lines(found: GroupOutcome) -> list[dict[str, Any]]:
    """A line for each group: its model, how that ended, criteria, weight and mean of each component it has."""
    names = found.mixture.columns or ("x",)
    weights = found.mixture.weights
    means = found.mixture.components.mean.reshape(*weights.shape, -1)
    means = means.masked_fill((weights == 0).unsqueeze(-1), torch.nan)
    heads = [f"weight {k}" for k in range(weights.shape[-1])]
    heads += [f"{name} {k}" for k in range(weights.shape[-1]) for name in names]
    numbers = torch.cat([weights.masked_fill(weights == 0, torch.nan), means.flatten(1)], 1).tolist()
    lines = [
        {**line._asdict(), "reason": line.reason.name, **dict(zip(heads, values, strict=True))}
        for line, values in zip(found.selection.table, numbers, strict=True)
    ]
    return [{head: None if value != value else value for head, value in line.items()} for line in lines]
