"""Mixtures of regressions beside R's flexmix: ``python -m benchmarks.regressions`` writes REGRESSIONS.md.

Rows of three covariates from three components, the same rows and the same first labels for both. An update is the
difference between a longer and a shorter run, over the updates between them; a whole fit ends by each one's own
tolerance and says what log-likelihood it came to. Both have one thread, and processor time is measured, because other
things may run beside: the shortest of a few rounds in which both sides take turns. Of small tables an update is less
than the clock sees. flexmix solves each regression anew by `lm.wfit` or `glm.fit` in every update; its normal residuals
are scaled by rows less coefficients, so that its log-likelihood is a little below the maximum.

The limit of an update: with Q effects, a row and component take Q - 1 multiply-adds of the predictor, 20 for each of
their exponentials (one for the share, one more for a generalised law), Q(Q+1)/2 + Q of a matrix of products (twice for
successes in trials), Q of the slope and Q of powers: 45 to 79 with three covariates, 2e7 for all rows; 3.2 MB are read,
a tenth of a millisecond. The last column is how much of the rate of multiply-adds, that of a product of matrices in the
same rounds, they make.
"""

from __future__ import annotations

import argparse
import shutil
import subprocess
import tempfile
import time
from itertools import product
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import torch

import mixtura as mx

_SEEN = 1e-4  # seconds of an update that the clock sees
_SQUARE = 512  # of a product of matrices, by which the machine's rate is known
SLOPES = torch.tensor([[1.0, 2.0, -1.0], [-2.0, 0.5, 1.0], [0.0, -1.0, 3.0]], dtype=torch.float64)
LEVELS = torch.tensor([0.0, 3.0, -2.0], dtype=torch.float64)
FLEXMIX = """
suppressMessages(library(flexmix)); options(digits = 12)
d <- read.csv("rows.csv"); s <- scan("labels.csv", quiet = TRUE); m <- {model}
cpu <- function() sum(proc.time()[1:2])
run <- function(...) {{ begin <- cpu(); f <- flexmix({formula}, data = d, cluster = s, model = m, control = list(...))
                        c(cpu() - begin, logLik(f), f@iter) }}
invisible(run(iter.max = 1)); few <- run(iter.max = 2, tolerance = 0); more <- run(iter.max = {most}, tolerance = 0)
cat((more[1] - few[1]) / ({most} - 2), run()[1:3], sep = "\\n")
"""


class Kind(NamedTuple):
    """A family, how flexmix is asked for it, how many updates are timed there, and what a row and component take."""

    family: Any
    formula: str
    model: str
    most: int
    operations: float


KINDS = {
    "linear": Kind(mx.LinearRegression, "y ~ a + b + c", "FLXMRglm()", 12, 3 + 20 + 14 + 4 + 4),
    "Poisson": Kind(mx.PoissonRegression, "y ~ a + b + c", 'FLXMRglm(family = "poisson")', 5, 3 + 40 + 14 + 4 + 4),
    "binomial, 10 trials": Kind(
        mx.LogisticRegression.template(total_count=10),
        "cbind(y, 10 - y) ~ a + b + c",
        'FLXMRglm(family = "binomial")',
        5,
        3 + 40 + 28 + 4 + 4,
    ),
}  # fmt: skip


class Cell(NamedTuple):
    """Seconds of an update and of a whole fit, the log-likelihood, and the number of updates."""

    update: float
    whole: float
    log_likelihood: float
    updates: int

    @classmethod
    def shortest(cls, cells: list[Cell]) -> Cell:
        """The least times of several rounds."""
        return cells[0]._replace(update=min(one.update for one in cells), whole=min(one.whole for one in cells))


def rows(name: str, count: int, seed: int = 0) -> tuple[torch.Tensor, torch.Tensor]:
    """Rows of a kind ``(count, 4)``, the target last, and first labels."""
    source = torch.Generator().manual_seed(seed)
    z = torch.randn(count, 3, generator=source, dtype=torch.float64)
    label = torch.randint(3, (count,), generator=source)
    predictor = LEVELS[label] + (z * SLOPES[label]).sum(-1)
    drawn = {
        "linear": lambda: predictor + torch.randn(count, generator=source, dtype=torch.float64),
        "Poisson": lambda: torch.poisson((0.3 * predictor).exp(), generator=source),
        "binomial, 10 trials": lambda: torch.binomial(
            torch.full_like(predictor, 10.0), torch.sigmoid(predictor), source
        ),
    }
    return torch.cat([z, drawn[name]().unsqueeze(-1)], -1), torch.randint(3, (count,), generator=source)


def ours(kind: Kind, x: torch.Tensor, labels: torch.Tensor) -> Cell:
    """What Mixtura takes."""

    def run(method: mx.EM) -> tuple[float, mx.Fit]:
        begin = time.process_time()
        fit = mx.fit(x, 3, family=kind.family, init=labels, method=method)
        return time.process_time() - begin, fit

    run(mx.EM(2, 0))
    few, more = (min(run(mx.EM(count, 0))[0] for _ in range(3)) for count in (2, 22))
    whole, fit = min((run(mx.EM()) for _ in range(3)), key=lambda each: each[0])
    return Cell((more - few) / 20, whole, fit.log_likelihood, fit.iterations)


def theirs(kind: Kind, x: torch.Tensor, labels: torch.Tensor) -> Cell | None:
    """What flexmix takes; none where it is not installed."""
    if shutil.which("Rscript") is None:
        return None
    with tempfile.TemporaryDirectory() as folder:
        np.savetxt(Path(folder) / "rows.csv", x.numpy(), delimiter=",", header="a,b,c,y", comments="", fmt="%.17g")
        np.savetxt(Path(folder) / "labels.csv", 1 + labels.numpy(), fmt="%d")
        script = FLEXMIX.format(formula=kind.formula, model=kind.model, most=kind.most)
        found = subprocess.run(["Rscript", "-e", script], cwd=folder, capture_output=True, text=True)
    if found.returncode:
        return None
    update, whole, log_likelihood, updates = map(float, found.stdout.split())
    return Cell(update, whole, log_likelihood, int(updates))


def rate() -> float:
    """Multiply-adds in a second, by a product of matrices."""
    square = torch.rand(_SQUARE, _SQUARE, dtype=torch.float64)
    begin = time.process_time()
    for _ in range(10):
        square @ square
    return 10 * _SQUARE**3 / (time.process_time() - begin)


def table(counts: list[int], rounds: int) -> str:
    """The page."""
    lines = [
        "| family; rows | what | Mixtura | flexmix | times as fast | log-likelihood, Mixtura | flexmix | rate |",
        "|---|---|---:|---:|---:|---:|---:|---:|",
    ]
    for name, count in product(KINDS, counts):
        x, labels = rows(name, count)
        each = [(ours(KINDS[name], x, labels), theirs(KINDS[name], x, labels), rate()) for _ in range(rounds)]
        mine, others = Cell.shortest([one for one, _, _ in each]), [one for _, one, _ in each if one is not None]
        share = KINDS[name].operations * 3 * count / mine.update / max(one for _, _, one in each)
        lines += _lines(f"{name}; {count:,}", mine, Cell.shortest(others) if others else None, share)
        print(lines[-1], flush=True)
    return f"# Mixtures of regressions\n\n{(__doc__ or '').split(chr(10), 2)[2].strip()}\n\n" + "\n".join(lines) + "\n"


def _lines(name: str, mine: Cell, other: Cell | None, share: float) -> list[str]:
    if other is None:
        absent = "flexmix not installed"
        return [f"| {name} | an update | {1e3 * mine.update:.3g} ms | {absent} | | | | {share:.0%} |"]
    faster, whole = other.update / mine.update, other.whole / mine.whole
    ends = f"{mine.updates} and {other.updates} updates"
    update = (
        f"| {name} | an update | {1e3 * mine.update:.3g} ms | {1e3 * other.update:.3g} ms | {faster:.3g} | | | "
        f"{share:.0%} |"
    )
    fit = (
        f"| {name} | a fit, {ends} | {mine.whole:.3g} s | {other.whole:.3g} s | {whole:.3g} | "
        f"{mine.log_likelihood:.2f} | {other.log_likelihood:.2f} | |"
    )
    return [update, fit] if mine.update > _SEEN else [fit]


def main() -> None:
    """Writes the table beside this file."""
    parser = argparse.ArgumentParser("python -m benchmarks.regressions", description=__doc__)
    parser.add_argument("--rows", type=int, nargs="+", default=[100_000, 300])
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--out", type=Path, default=Path(__file__).parent)
    options = parser.parse_args()
    torch.set_num_threads(1)
    (options.out / "REGRESSIONS.md").write_text(table(options.rows, options.rounds), encoding="utf-8")


if __name__ == "__main__":
    main()
