"""The command: ``python -m benchmarks``."""

from __future__ import annotations

import argparse
import json
import os
import platform
from collections.abc import Iterator, Sequence
from dataclasses import asdict
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from typing import Any

from . import cases, startup, table
from .cases import Case
from .limits import WORK
from .subjects import NAMES, TITLES
from .turns import Result, Subject, take_turns


def main(arguments: Sequence[str] | None = None) -> None:
    options = _parser().parse_args(arguments)
    _share_threads(options.threads)
    subjects = [Subject(name, options.busy) for name in NAMES if name == NAMES[0] or name in options.subjects]
    cells: list[list[Result]] = []
    try:
        facts = {
            "machine": _machine(options.threads, options.busy),
            "rates": subjects[0].ask("limits", None, 0),
            "startup": {} if options.quick else startup.measure(options.rounds),
        }
        for task, case in _chosen(options):
            cells.append(take_turns(subjects, task, case, options.seconds, options.rounds))
            print(_line(cells[-1]), flush=True)
            _write(options.out, facts, cells)  # each time, so that what is there survives an interruption
    finally:
        for subject in subjects:
            subject.end()


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser("python -m benchmarks", description="Runs Mixtura and its peers side by side.")
    parser.add_argument("--quick", action="store_true", help="a smoke run: two small shapes, nothing that starts")
    parser.add_argument("--tasks", nargs="+", choices=WORK, default=list(WORK))
    parser.add_argument("--subjects", nargs="+", choices=NAMES, default=NAMES, help="the peers; Mixtura always runs")
    parser.add_argument("--only", default="", help="only cells whose name contains this, such as full-100000x10x10")
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--seconds", type=float, default=0.1, help="of each measurement, about")
    parser.add_argument("--threads", type=int, default=min(2, os.cpu_count() or 1))
    parser.add_argument("--busy", action="store_true", help="processor time, for a machine that does other things too")
    parser.add_argument("--out", type=Path, default=Path(__file__).parent, help="folder of RESULTS.md and results.json")
    return parser


def _share_threads(count: int) -> None:
    """Gives every subject the same cores, and tells the libraries that do not look."""
    if hasattr(os, "sched_setaffinity"):
        os.sched_setaffinity(0, sorted(os.sched_getaffinity(0))[:count])
    for name in ("OMP", "MKL", "OPENBLAS", "NUMBA"):
        os.environ[f"{name}_NUM_THREADS"] = str(count)


def _chosen(options: argparse.Namespace) -> Iterator[tuple[str, Case]]:
    shapes = cases.QUICK_SHAPES if options.quick else cases.SHAPES
    for task in options.tasks:
        yield from ((task, case) for case in cases.grid(shapes) if options.only in case.name)


def _line(cell: list[Result]) -> str:
    ours, *peers = cell
    ratios = [f"{peer.subject} {ratio:.2g}" for peer in peers if (ratio := peer.ratio(ours)) is not None]
    took = f"failed, {ours.reason}" if ours.seconds is None else f"{ours.seconds * 1e3:.3g} ms"
    return f"{ours.task} {ours.case.name}: {took}; " + ", ".join(ratios)


def _write(out: Path, facts: dict[str, dict[str, Any]], cells: list[list[Result]]) -> None:
    out.mkdir(parents=True, exist_ok=True)
    (out / "RESULTS.md").write_text(table.document(**facts, cells=cells))
    content = facts | {"cells": [[asdict(result) for result in cell] for cell in cells]}
    (out / "results.json").write_text(json.dumps(content, indent=1) + "\n")


def _machine(threads: int, busy: bool) -> dict[str, str]:
    facts = {"processor": _processor(), "threads": str(threads), "time": "of the processor" if busy else "on the wall"}
    facts["Python"] = platform.python_version()
    return facts | {title: _version(title.lower()) for title in TITLES.values() if title != "mclust"}


def _version(package: str) -> str:
    try:
        return version(package)
    except PackageNotFoundError:
        return "not installed"


def _processor() -> str:
    info = Path("/proc/cpuinfo")
    lines = info.read_text().splitlines() if info.exists() else []
    return next((line.split(":")[1].strip() for line in lines if line.startswith("model name")), platform.processor())


if __name__ == "__main__":
    main()
