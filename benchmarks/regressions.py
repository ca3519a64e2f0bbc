"""Mixtures of regressions beside R's flexmix: ``python -m benchmarks.regressions`` writes REGRESSIONS.md.

100,000 rows of three covariates from three components, the same rows and the same first labels for both. An update is
the difference between a longer and a shorter run, over the updates between them; a whole fit ends by each one's own
tolerance and says what log-likelihood it came to. Both have one thread, and processor time is measured, because
other things may run beside. flexmix solves each regression anew by `lm.wfit` or `glm.fit` in every update; its normal
residuals are scaled by rows less coefficients, so that its log-likelihood is a little below the maximum.
"""

from __future__ import annotations

import argparse
import shutil
import subprocess
import tempfile
import time
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import torch

import mixtura as mx

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
    """A family, how flexmix is asked for it, and how many updates are timed there."""

    family: Any
    formula: str
    model: str
    most: int


KINDS = {
    "linear": Kind(mx.LinearRegression, "y ~ a + b + c", "FLXMRglm()", 12),
    "Poisson": Kind(mx.PoissonRegression, "y ~ a + b + c", 'FLXMRglm(family = "poisson")', 5),
    "binomial, 10 trials": Kind(
        mx.LogisticRegression.template(total_count=10),
        "cbind(y, 10 - y) ~ a + b + c",
        'FLXMRglm(family = "binomial")',
        5,
    ),
}  # fmt: skip


class Cell(NamedTuple):
    """Seconds of an update and of a whole fit, the log-likelihood, and the number of updates."""

    update: float
    whole: float
    log_likelihood: float
    updates: int


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
    whole, fit = run(mx.EM())
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


def table(count: int) -> str:
    """The page."""
    lines = [
        "| family | what | Mixtura | flexmix | times as fast | log-likelihood, Mixtura | flexmix |",
        "|---|---|---:|---:|---:|---:|---:|",
    ]
    for name, kind in KINDS.items():
        x, labels = rows(name, count)
        mine, other = ours(kind, x, labels), theirs(kind, x, labels)
        lines += _lines(name, mine, other)
        print("\n".join(lines[-2:]), flush=True)
    return f"# Mixtures of regressions\n\n{__doc__.split(chr(10), 2)[2].strip()}\n\n" + "\n".join(lines) + "\n"


def _lines(name: str, mine: Cell, other: Cell | None) -> list[str]:
    if other is None:
        absent = "flexmix not installed"
        return [f"| {name} | an update | {1e3 * mine.update:.3g} ms | {absent} | | | |"]
    faster, whole = other.update / mine.update, other.whole / mine.whole
    ends = f"{mine.updates} and {other.updates} updates"
    return [
        f"| {name} | an update | {1e3 * mine.update:.3g} ms | {1e3 * other.update:.3g} ms | {faster:.3g} | | |",
        f"| {name} | a fit, {ends} | {mine.whole:.3g} s | {other.whole:.3g} s | {whole:.3g} | "
        f"{mine.log_likelihood:.2f} | {other.log_likelihood:.2f} |",
    ]


def main() -> None:
    """Writes the table beside this file."""
    parser = argparse.ArgumentParser("python -m benchmarks.regressions", description=__doc__)
    parser.add_argument("--rows", type=int, default=100_000)
    parser.add_argument("--out", type=Path, default=Path(__file__).parent)
    options = parser.parse_args()
    torch.set_num_threads(1)
    (options.out / "REGRESSIONS.md").write_text(table(options.rows), encoding="utf-8")


if __name__ == "__main__":
    main()
