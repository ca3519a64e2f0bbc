"""The folder that `fit --by` writes: one batched model, a table with a line for each group, and a summary."""

from __future__ import annotations

import csv
import json
from pathlib import Path
from typing import Any

import torch

from .._version import __version__
from .question import GroupOutcome, Question
from .results import SUMMARY, finite

__all__ = ["write_groups"]


def write_groups(folder: Path, question: Question, found: GroupOutcome) -> None:
    """Writes the model, whose entries are the groups in the order of the table, the table and the summary."""
    found.mixture.save(folder / "model.safetensors")
    lines = _lines(found)
    with (folder / "groups.csv").open("w", newline="", encoding="utf-8") as file:
        writer = csv.DictWriter(file, list(lines[0]), lineterminator="\n")
        writer.writeheader()
        writer.writerows(lines)
    text = json.dumps(finite(_summary(question, lines)), indent=2, allow_nan=False)
    (folder / SUMMARY).write_text(text + "\n", encoding="utf-8")


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


def _summary(question: Question, lines: list[dict[str, Any]]) -> dict[str, Any]:
    return {
        "mixtura": __version__,
        "torch": torch.__version__,
        "question": question.typed,
        "rows": len(question.rows),
        "columns": question.rows.columns and list(question.rows.columns),
        "groups": lines,
    }
