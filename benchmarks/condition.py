"""Conditioning many rows, beside gmr: ``python -m benchmarks.condition`` writes CONDITION.md.

100,000 rows of eight columns under ten full Gaussians, the first columns known. gmr's `condition` takes one row and
returns a mixture for it, so it is timed on some rows and scaled up; ours returns a mixture for every row. gmr's
`predict` takes all rows at once and returns their conditional means alone, as our `conditional_mean` does. Processor
time, the shortest of a few rounds in which both sides take turns, on one thread; the largest difference between both
sides' means stands beside.

The limit of the means: with D columns known, a row and component take D(D+1)/2 multiply-adds of a triangle and D of a
square, D subtractions twice, D + 1 multiply-adds for each column foretold, and 20 for an exponential: 77 with seven
known, 7.7e7 for all. The last column is how much of the rate of multiply-adds, that of a product of matrices in the
same rounds, they make.
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
_SQUARE = 512  # of a product of matrices, by which the machine's rate is known
_SOME = 300  # rows that gmr conditions one by one


def shortest(rounds: int, *runs: Callable[[], Any]) -> list[float]:
    """The least processor time of each that takes a turn in every round, in seconds."""
    times = [[_took(run) for run in runs] for _ in range(rounds)]
    return [min(each) for each in zip(*times, strict=True)]


def _took(run: Callable[[], Any]) -> float:
    begin = time.process_time()
    run()
    return time.process_time() - begin


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

    def one_by_one() -> None:
        for row in values[:_SOME].numpy():
            theirs.condition(np.array(dims), row)

    def means() -> torch.Tensor:
        return mixture.conditional_mean(dims, values)

    def predict() -> Any:
        return theirs.predict(np.array(dims), values.numpy())

    square = torch.rand(_SQUARE, _SQUARE, dtype=torch.float64)
    gap = np.abs(means().numpy() - predict()).max()
    whole, mean, their_mean, product = shortest(
        rounds, lambda: mixture.condition(dims, values), means, predict, lambda: square @ square
    )
    loop = shortest(2, one_by_one)[0] * _ROWS / _SOME
    share = operations(known) / mean / (_SQUARE**3 / product)
    cells = f"{1e3 * whole:.3g} ms | {loop:.3g} s | {loop / whole:.0f}"
    return (
        f"| {known} | {cells} | {1e3 * mean:.3g} ms | {1e3 * their_mean:.3g} ms | {their_mean / mean:.2g} | "
        f"{gap:.1g} | {share:.0%} |"
    )


def operations(known: int) -> float:
    """Operations on numbers that the means of all rows take, a multiply-add being one."""
    lines = (_FEATURES - known) * (known + 1)
    return _ROWS * _COMPONENTS * (known * (known + 1) / 2 + known + 2 * known + lines + 20)


def document(lines: list[str]) -> str:
    """The page."""
    text = [f"# Conditioning many rows\n\n{(__doc__ or '').split(chr(10), 2)[2].strip()}\n"]
    text.append(
        "| known | mixtures | gmr `condition` | times | means | gmr `predict` | times | difference | of the rate |"
    )
    text.append("|---:|---:|---:|---:|---:|---:|---:|---:|---:|")
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
