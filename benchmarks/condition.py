"""Conditioning many rows, beside gmr: ``python -m benchmarks.condition`` writes CONDITION.md.

100,000 rows of eight columns under ten full Gaussians, the first columns known. gmr's `condition` takes one row and
returns a mixture for it, so it is timed on some rows and scaled up; its `predict` takes all rows at once and returns
their conditional means alone. Ours returns a mixture for every row, and the means are one property of it; in blocks of
16,384 rows, as `MixtureRegressor.predict` goes, they stay in the cache. Processor time, the shortest of a few turns, on
one thread; the largest difference between both sides' means stands beside.
"""

from __future__ import annotations

import argparse
import os
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import torch

import mixtura as mx

_ROWS, _FEATURES, _COMPONENTS = 100_000, 8, 10
_SOME = 300  # rows that gmr conditions one by one


def shortest(run: Callable[[], Any], rounds: int) -> float:
    """The least processor time of some turns, in seconds."""
    times = []
    for _ in range(rounds):
        begin = time.process_time()
        run()
        times.append(time.process_time() - begin)
    return min(times)


def setting() -> tuple[mx.Mixture, torch.Tensor]:
    """The mixture and rows from it."""
    source = torch.Generator().manual_seed(0)
    mean = 3 * torch.randn(_COMPONENTS, _FEATURES, generator=source, dtype=torch.float64)
    root = torch.randn(_COMPONENTS, _FEATURES, _FEATURES, generator=source, dtype=torch.float64)
    covariance = root @ root.mT / _FEATURES + 0.5 * torch.eye(_FEATURES)
    weights = torch.rand(_COMPONENTS, generator=source, dtype=torch.float64) + 0.2
    mixture = mx.Mixture(weights, mx.Gaussian(mean, covariance))
    return mixture, mixture.sample((_ROWS,), source)


def line(known: int, rounds: int) -> str:
    """One line of the table: so many columns known."""
    from gmr import GMM

    mixture, x = setting()
    values, dims = x[:, :known].contiguous(), list(range(known))
    parts = mixture.components
    theirs = GMM(_COMPONENTS, mixture.weights.numpy(), parts.mean.numpy(), parts.covariance.numpy())

    def means() -> torch.Tensor:
        return torch.cat([mixture.condition(dims, block).mean for block in values.split(2**14)])

    def one_by_one() -> None:
        for row in values[:_SOME].numpy():
            theirs.condition(np.array(dims), row)

    ours = shortest(lambda: mixture.condition(dims, values), rounds), shortest(means, rounds)
    loop = shortest(one_by_one, 2) * _ROWS / _SOME
    predict = shortest(lambda: theirs.predict(np.array(dims), values.numpy()), rounds)
    gap = np.abs(means().numpy() - theirs.predict(np.array(dims), values.numpy())).max()
    cells = f"{1e3 * ours[0]:.3g} ms | {loop:.3g} s | {loop / ours[0]:.0f}"
    return (
        f"| {known} | {cells} | {1e3 * ours[1]:.3g} ms | {1e3 * predict:.3g} ms | {predict / ours[1]:.2g} | {gap:.1g} |"
    )


def document(lines: list[str]) -> str:
    """The page."""
    text = [f"# Conditioning many rows\n\n{(__doc__ or '').split(chr(10), 2)[2].strip()}\n"]
    text.append(
        "| known | ours, mixtures | gmr, one by one | times | ours, means | gmr `predict` | times | difference |"
    )
    text.append("|---:|---:|---:|---:|---:|---:|---:|---:|")
    return "\n".join([*text, *lines]) + "\n"


def main() -> None:
    parser = argparse.ArgumentParser("python -m benchmarks.condition", description=__doc__)
    parser.add_argument("--rounds", type=int, default=7)
    parser.add_argument("--inside", action="store_true", help=argparse.SUPPRESS)
    asked = parser.parse_args()
    if asked.inside:
        torch.set_num_threads(1)
        print("\n".join(line(known, asked.rounds) for known in (7, 4, 1)))
        return
    alone = {**os.environ, **{f"{name}_NUM_THREADS": "1" for name in ("OMP", "MKL", "OPENBLAS", "NUMBA")}}
    command = [sys.executable, "-m", "benchmarks.condition", "--inside", "--rounds", str(asked.rounds)]
    found = subprocess.check_output(command, text=True, env=alone, cwd=Path(__file__).parent.parent)
    page = document([one for one in found.splitlines() if one.startswith("|")])
    (Path(__file__).parent / "CONDITION.md").write_text(page, encoding="utf-8")
    print(page)


if __name__ == "__main__":
    main()
