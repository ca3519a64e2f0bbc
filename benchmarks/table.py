"""Results as Markdown."""

from __future__ import annotations

from collections.abc import Iterable
from itertools import groupby
from typing import Any

from . import limits, targets
from .cases import Case
from .subjects import NAMES, TITLES
from .turns import Result

_HEADS = {
    "em": "EM, per iteration",
    "log_prob": "Log-density of all rows",
    "gradient": "Log-density with gradients in rows and parameters",
    "sample": "Drawing as many rows",
}
_INTRODUCTION = """\
# Benchmarks

Written by `make bench`. Times are medians over rounds in which the subjects take turns, each in a process of its own,
all on the same data and the same cores. A peer's cell is how many times slower it is than Mixtura (below 1: faster),
and its peak memory in MiB beyond the data and the result. *Of limit* is the time that the least work would take at the
hardware's rates, measured in the same run, divided by ours; normal numbers count at the rate of PyTorch's, which
Mixtura's own exceed in float64. *Difference* is the relative difference in float64 between
what Mixtura and the first peer found (for EM the log-likelihood after the same number of updates from the same start).
"""


def document(
    machine: dict[str, str], rates: dict[str, float], startup: dict[str, float], cells: list[list[Result]]
) -> str:
    notes = Footnotes()
    sections = [_section(task, dtype, group, rates, notes) for (task, dtype), group in _by_table(cells)]
    parts = [
        _INTRODUCTION,
        _machine(machine),
        _rates(rates),
        _startup(startup),
        *sections,
        notes.text(),
        _misses(cells),
    ]
    return "\n".join(parts)


class Footnotes:
    """Reasons, numbered as they come."""

    def __init__(self) -> None:
        self.numbers: dict[str, int] = {}

    def mark(self, reason: str) -> str:
        return f"[^{self.numbers.setdefault(reason, len(self.numbers) + 1)}]"

    def text(self) -> str:
        return "\n".join(f"[^{number}]: {reason}" for reason, number in self.numbers.items()) + "\n"


def _by_table(cells: list[list[Result]]) -> Iterable[tuple[tuple[str, str], list[list[Result]]]]:
    for key, group in groupby(cells, lambda cell: (cell[0].task, cell[0].case.dtype)):
        yield key, list(group)


def _section(task: str, dtype: str, group: list[list[Result]], rates: dict[str, float], notes: Footnotes) -> str:
    subjects = [name for name in NAMES if any(r.subject == name and r.times for cell in group for r in cell)]
    peers = [name for name in subjects if name != "mixtura"]
    head = ["structure", "rows", "D", "K", "Mixtura ms", "MiB", "of limit", *(TITLES[p] for p in peers), "difference"]
    rows = [[*_ours(cell[0], rates, notes), *_theirs(cell, peers, notes), _difference(cell)] for cell in group]
    return f"## {_HEADS[task]}, {dtype}\n\n{_table(head, rows)}"


def _ours(ours: Result, rates: dict[str, float], notes: Footnotes) -> list[str]:
    if ours.seconds is None:
        return [*_name(ours.case), notes.mark(f"{TITLES[ours.subject]}: {ours.reason}"), "", ""]
    limit = limits.WORK[ours.task](ours.case).seconds(rates, ours.case.dtype)
    share = f"{limit / ours.seconds:.0%}" if ours.seconds > 0 else ""
    return [*_name(ours.case), f"{ours.seconds * 1e3:.3g}", _memory(ours), share]


def _name(case: Case) -> list[str]:
    overlapping = " (overlapping)" if case.distance < 4 else ""
    return [case.structure + overlapping, f"{case.rows:,}", str(case.features), str(case.components)]


def _theirs(cell: list[Result], peers: list[str], notes: Footnotes) -> list[str]:
    found = {result.subject: result for result in cell}
    return [_peer(found[0], found[1], notes) if found[1] else "" for found in ((cell[0], found.get(p)) for p in peers)]


def _peer(ours: Result, peer: Result, notes: Footnotes) -> str:
    if peer.reason is not None:
        return notes.mark(f"{TITLES[peer.subject]}: {peer.reason}")
    ratio = peer.ratio(ours)
    return "" if ratio is None else f"{ratio:.2g}× ({_memory(peer)})"


def _memory(result: Result) -> str:
    return "" if result.workspace is None else f"{result.workspace:.0f}"


def _difference(cell: list[Result]) -> str:
    gaps = [gap for peer in cell[1:] if (gap := targets.difference(cell[0], peer)) is not None]
    return f"{gaps[0]:.0e}" if gaps else ""


def _misses(cells: list[list[Result]]) -> str:
    found = [(cell[0], miss) for cell in cells for miss in targets.misses(cell)]
    if not found:
        return "## What falls short\n\nNothing.\n"
    rows = [[_HEADS[ours.task], ours.case.dtype, *_name(ours.case), miss] for ours, miss in found]
    return "## What falls short\n\n" + _table(["task", "type", "structure", "rows", "D", "K", "what"], rows)


def _machine(machine: dict[str, str]) -> str:
    return _table(["where", ""], [[name, value] for name, value in machine.items()])


def _rates(rates: dict[str, float]) -> str:
    units = {"GEMM": "Gflop/s", "exp": "G/s", "normal": "G/s", "memory": "GB/s (reading)"}
    rows = [[name, f"{rate / 1e9:.3g} {units[name.split()[0]]}"] for name, rate in rates.items()]
    return "## The hardware\n\n" + _table(["limit", "rate"], rows)


def _startup(startup: dict[str, float]) -> str:
    rows = [[name, f"{seconds * 1e3:.0f}"] for name, seconds in startup.items()]
    return "## Starting\n\n" + _table(["what", "ms"], rows)


def _table(head: list[str], rows: list[list[Any]]) -> str:
    lines = [head, ["---"] * len(head), *rows]
    return "\n".join("| " + " | ".join(line) + " |" for line in lines) + "\n"
