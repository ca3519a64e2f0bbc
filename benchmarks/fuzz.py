"""Fits at random, counted by how they end: ``python -m benchmarks.fuzz --cases 20000 --name after`` writes FUZZ.md.

The cases and the law are those of ``tests/random_fits.py``: a case is its seed, so every version is given the same. To
count for another version, set PYTHONPATH to its sources and give it a name; FUZZ.md has a column for each. With
``--log FILE`` a run may be broken off, and what it has done be counted with ``--read FILE``.
"""

from __future__ import annotations

import argparse
import json
import signal
import sys
from collections import Counter
from collections.abc import Iterable, Iterator
from dataclasses import asdict
from itertools import islice
from multiprocessing import get_context
from pathlib import Path

import torch

import mixtura

ROOT = Path(__file__).parent.parent
sys.path.insert(0, str(ROOT / "tests"))
from random_fits import FINE, Ending, judged, line  # noqa: E402

_LIMIT = 20  # seconds of processor time after which a case is given up
_SLOW = 1.0


class _GivenUp(BaseException):
    """Raised in a case that takes too long; no `except Exception` stops it."""


def _give_up(*_: object) -> None:
    raise _GivenUp


def ended(seed: int) -> Ending:
    """How the case of a seed ended, in a bounded time."""
    torch.set_num_threads(1)
    signal.signal(signal.SIGPROF, _give_up)
    signal.setitimer(signal.ITIMER_PROF, _LIMIT)
    try:
        return judged(line(seed))
    except _GivenUp:
        return Ending(line(seed), "given up", f"after {_LIMIT} s", _LIMIT)
    finally:
        signal.setitimer(signal.ITIMER_PROF, 0)


def endings(seeds: Iterable[int], processes: int) -> Iterator[Ending]:
    """How all cases ended; the first ones are run twice, so that nothing is compiled in the time of a case."""
    if processes == 1:
        _warm()
        yield from map(ended, seeds)
        return
    with get_context("spawn").Pool(processes, _warm) as pool:
        yield from pool.imap(ended, seeds, 20)


def _warm() -> None:
    list(map(ended, range(20)))


def counted(found: list[Ending]) -> dict[str, float]:
    """Counts by outcome, how many took more than a second, and the time of all."""
    counts: dict[str, float] = dict(Counter(one.outcome for one in found).most_common())
    slow = sum(one.seconds > _SLOW for one in found)
    return counts | {
        "cases": len(found),
        "over a second": slow,
        "processor seconds": round(sum(x.seconds for x in found)),
    }


def document(results: dict[str, dict[str, float]]) -> str:
    """The table: a column for each version, defects last."""
    names = list(dict.fromkeys(name for counts in results.values() for name in counts))
    plain = [name for name in FINE if name in names]
    sums = ["cases", "over a second", "processor seconds"]
    defects = sorted(set(names) - {*plain, *sums})
    totals = {version: sum(counts.get(name, 0) for name in defects) for version, counts in results.items()}
    lines = ["| outcome | " + " | ".join(results) + " |", "|---|" + "---:|" * len(results)]
    lines += [_row(name, results) for name in (*plain, *defects)]
    lines += ["| **defects** | " + " | ".join(f"**{total:g}**" for total in totals.values()) + " |"]
    lines += [_row(name, results) for name in sums]
    return f"{_HEAD}\n" + "\n".join(lines) + "\n"


def _row(name: str, results: dict[str, dict[str, float]]) -> str:
    return f"| {name} | " + " | ".join(f"{counts.get(name, 0):g}" for counts in results.values()) + " |"


_HEAD = """# Fits at random

How the fits of `tests/random_fits.py` end; `python -m benchmarks.fuzz` counts them. MixtureError and NotClosedForm are
errors of ours that say why there is no fit; all below them but the totals are defects. "then ..." is what happened when
a fit that said CONVERGED was run on by plain updates. Times are of the processor, in one thread, of the fits alone.
Cases are the seeds from 0 on, columns of different length share those of the shorter one, but for the last four, which
follow each other from 100,000 on and from 400,000 on for the last: each has fresh ones, most of the defects of one are
mended in the next, and of the 18 of ba046d5 seven are in d32d224. Runs but the first two were made while the machine
did other things, and broken off.
"""


def main() -> None:
    parser = argparse.ArgumentParser("python -m benchmarks.fuzz", description=__doc__)
    parser.add_argument("--cases", type=int, default=20_000)
    parser.add_argument("--first", type=int, default=0, help="the first seed")
    parser.add_argument("--processes", type=int, default=1)
    parser.add_argument("--name", default="now", help="of the column in FUZZ.md")
    parser.add_argument("--log", type=argparse.FileType("w"), help="a file for one line of JSON a case")
    parser.add_argument("--read", type=Path, help="a log of an earlier run, perhaps of a part, to be counted")
    parser.add_argument("--show", type=int, default=3, help="how many cases of every defect are printed")
    parser.add_argument("--out", type=Path, default=Path(__file__).parent, help="folder of FUZZ.md and fuzz.json")
    options = parser.parse_args()
    found = read(options.read, options.cases) if options.read else run(options)
    kept = options.out / "fuzz.json"
    results = json.loads(kept.read_text()) if kept.exists() else {}
    results[options.name] = counted(found)
    kept.write_text(json.dumps(results, indent=1) + "\n")
    (options.out / "FUZZ.md").write_text(document(results))
    show(found, options.show)


def run(options: argparse.Namespace) -> list[Ending]:
    """Runs the cases, and writes a line of the log for each."""
    print(mixtura.__file__)
    found = []
    for one in endings(range(options.first, options.first + options.cases), options.processes):
        found.append(one)
        if options.log is not None:
            print(json.dumps(asdict(one)), file=options.log, flush=True)
    return found


def read(log: Path, most: int) -> list[Ending]:
    """The first so many endings of a log."""
    return [Ending(**json.loads(one)) for one in log.read_text().splitlines()[:most]]


def show(found: list[Ending], most: int) -> None:
    """Prints counts, and a few cases of every defect and of what is slow."""
    print(counted(found))
    for outcome in sorted({one.outcome for one in found if one.defect}):
        for one in islice((one for one in found if one.outcome == outcome), most):
            print(one)
    for one in sorted((one for one in found if one.seconds > _SLOW), key=lambda one: -one.seconds)[: 3 * most]:
        print("slow:", one)


if __name__ == "__main__":
    main()
