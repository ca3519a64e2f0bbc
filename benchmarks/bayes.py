"""Bayesian mixtures by several samplers: ``python -m benchmarks.bayes`` writes BAYES.md.

The models of `bayes_samplers`, each drawn from by each sampler in processes of their own, 4 chains of 2,000 + 5,000
draws. Processor seconds, so that a busy machine counts no more than an idle one: from a cold Python to the draws, and
of sampling alone. Effective draws are those of the parameter that has fewest. A sampler that is not installed is left
out, and said so.
"""

from __future__ import annotations

import argparse
import json
import os
import statistics
import subprocess
import sys
from collections.abc import Iterable
from pathlib import Path
from typing import Any

MODELS = ("overlapping", "by hand", "separated")
SAMPLERS = ("mixtura", "nutpie", "numpyro", "pymc")
TITLES = {"mixtura": "Mixtura", "nutpie": "nutpie on PyMC", "numpyro": "NumPyro", "pymc": "PyMC"}
_AGREE = 1.01
_PATIENCE = 3600

Line = dict[str, Any]


def measured(model: str, sampler: str, seed: int, python: str) -> Line | None:
    """One run, or none where it does not end well."""
    command = [python, "-m", "benchmarks.bayes_samplers", model, sampler, str(seed)]
    alone = os.environ | {"OMP_NUM_THREADS": "1"}
    ran = subprocess.run(command, capture_output=True, text=True, timeout=_PATIENCE, env=alone)
    lines = [one for one in ran.stdout.splitlines() if one.startswith("{")]
    return json.loads(lines[-1]) if lines else None


def row(lines: list[Line]) -> str:
    """One line of the table: medians over the runs whose chains agree."""
    good = [one for one in lines if one["rhat"] < _AGREE]
    if not good:
        return f"{TITLES[lines[0]['sampler']]} | {len(lines)} | 0 | | | | |"
    rate = statistics.median(one["effective"] / one["sampling"] for one in good)
    total, sampling = (statistics.median(one[key] for one in good) for key in ("total", "sampling"))
    worst, diverged = max(one["rhat"] for one in lines), sum(one["divergences"] for one in lines)
    numbers = f"{total:.1f} | {sampling:.2f} | {rate:,.0f} | {worst:.4f} | {diverged}"
    return f"{TITLES[lines[0]['sampler']]} | {len(lines)} | {len(good)} | {numbers} |"


def document(lines: Iterable[Line]) -> str:
    """The page."""
    found = list(lines)
    by = {(m, s): [one for one in found if (one["model"], one["sampler"]) == (m, s)] for m in MODELS for s in SAMPLERS}
    table = [f"| {model} | {row(by[model, sampler])}" for model in MODELS for sampler in SAMPLERS if by[model, sampler]]
    missing = [f"{TITLES[sampler]} on {model}" for (model, sampler), runs in by.items() if not runs]
    said = f"\nNot measured here: {', '.join(missing)}.\n" if missing else ""
    return "\n".join([_HEAD, *table, ""]) + said


_HEAD = """# Bayesian mixtures

Processor seconds, written by `make bench`: 4 chains of 2,000 + 5,000 draws on two processors, target acceptance 0.95,
each run on rows of its own. Medians over the runs whose chains agree (R-hat below 1.01). Sampling is counted from the
posterior on, for Mixtura with tracing and compiling it, for the others without what they compile; an effective draw is
one of the parameter that has fewest. What compilers cached in earlier runs serves again.

| model | sampler | runs | agree | cold Python to draws | sampling | effective a second | worst R-hat | divergences |
|---|---|---:|---:|---:|---:|---:|---:|---:|"""


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--ours", type=int, default=10, help="data sets for Mixtura")
    parser.add_argument("--peers", type=int, default=1, help="data sets for each peer")
    parser.add_argument("--python", default=sys.executable, help="the Python that has the peers")
    parser.add_argument("--lines", type=Path, help="lines of `bayes_samplers` that were measured before; runs nothing")
    given = parser.parse_args()
    if given.lines:
        lines = [json.loads(one) for one in given.lines.read_text().splitlines() if one.startswith("{")]
    else:
        runs = [
            (model, sampler, seed, sys.executable if sampler == "mixtura" else given.python)
            for model in MODELS
            for sampler in SAMPLERS
            for seed in range(given.ours if sampler == "mixtura" else given.peers)
        ]
        lines = [one for one in (measured(*run) for run in runs) if one]
    (Path(__file__).parent / "BAYES.md").write_text(document(lines))


if __name__ == "__main__":
    main()
