"""Two versions of Mixtura side by side: ``python -m benchmarks.versions OTHER/src`` writes VERSIONS.md.

Both run the same calls in processes of their own, in turn, round after round, so that noise falls on both alike. A
ratio is the median over rounds of this version's time to the other's in the same round; the band beside it is that
between the quartiles.
"""

from __future__ import annotations

import argparse
import multiprocessing
import os
import statistics
import sys
from collections.abc import Iterator
from pathlib import Path

from .cases import DTYPES, STRUCTURES, Case
from .turns import Result, Subject, take_turns
from .worker import serve

GRID = ((300, 2, 3), (100_000, 2, 8), (100_000, 10, 10), (20_000, 100, 10))
CALLS = ("fit", "select", "kmeans", "student", "noise", "gaps", "gibbs", "variational")
TASKS = ("em", "log_prob", "gradient", "sample")


class Version(Subject):
    """The Mixtura whose source lies in a folder."""

    def __init__(self, source: Path, busy: bool) -> None:
        super().__init__("mixtura", busy)
        self.source = source

    def _start(self) -> None:
        context = multiprocessing.get_context("spawn")
        self.pipe, theirs = context.Pipe()
        arguments = (str(self.source), self.busy, theirs)
        self.process = context.Process(target=serve_from, args=arguments, daemon=True)
        self.process.start()
        theirs.close()


def serve_from(source: str, busy: bool, pipe: object) -> None:
    """Answers requests with the Mixtura in that folder."""
    sys.path.insert(0, source)
    serve("mixtura", busy, pipe)  # type: ignore[arg-type]


def main() -> None:
    parser = argparse.ArgumentParser("python -m benchmarks.versions", description=__doc__.splitlines()[0])
    parser.add_argument("other", type=Path, help="the folder src of the other version")
    parser.add_argument("--rounds", type=int, default=7)
    parser.add_argument("--seconds", type=float, default=0.1)
    parser.add_argument("--only", default="")
    parser.add_argument("--busy", action="store_true", help="processor time, for a machine that does other things too")
    options = parser.parse_args()
    for name in ("OMP", "MKL", "OPENBLAS", "NUMBA"):
        os.environ[f"{name}_NUM_THREADS"] = "1"
    mine, theirs = (Version(src.resolve(), options.busy) for src in (Path(__file__).parents[1] / "src", options.other))
    lines = [_HEAD, _RULE]
    try:
        for task, case in cells(options.only):
            lines.append(_line(*take_turns([mine, theirs], task, case, options.seconds, options.rounds)))
            print(lines[-1], flush=True)
            Path(__file__).with_name("VERSIONS.md").write_text(_document(lines))
    finally:
        mine.end()
        theirs.end()


def cells(only: str) -> Iterator[tuple[str, Case]]:
    """Whole calls on small tables first, then the grid."""
    every = [(task, Case(300, 2, 3, "full", "float64")) for task in CALLS]
    shapes = [(shape, structure, dtype) for shape in GRID for structure in STRUCTURES for dtype in DTYPES]
    every += [(task, Case(*shape, structure, dtype)) for task in TASKS for shape, structure, dtype in shapes]
    return ((task, case) for task, case in every if only in f"{task} {case.name}")


_HEAD = "| task | rows x features x components | this, ms | other, ms | this / other | quartiles |"
_RULE = "|---|---|---:|---:|---:|---|"


def _line(mine: Result, theirs: Result) -> str:
    what = f"| {mine.task} | {mine.case.name} |"
    if mine.seconds is None or theirs.seconds is None:
        return f"{what} {mine.reason or ''} | {theirs.reason or ''} | | |"
    pairs = [one / other for one, other in zip(mine.times, theirs.times, strict=False)]
    low, middle, high = statistics.quantiles(pairs, n=4) if len(pairs) > 1 else pairs * 3
    return f"{what} {mine.seconds * 1e3:.3g} | {theirs.seconds * 1e3:.3g} | {middle:.2f} | {low:.2f} to {high:.2f} |"


def _document(lines: list[str]) -> str:
    return "\n".join(["# Two versions side by side", "", *_SAID, "", *lines, ""])


_SAID = (
    "This version beside an earlier one, written by `python -m benchmarks.versions`.",
    "One thread; times are medians over rounds, ratios medians of pairs.",
)


if __name__ == "__main__":
    main()
