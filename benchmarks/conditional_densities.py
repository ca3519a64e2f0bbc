"""Regression as a distribution, on real tables: ``python -m benchmarks.conditional_densities`` writes the page.

Five folds; every number is of rows that were held out. Two tables: scikit-learn's diabetes (442 rows, ten features),
and `flchain` of R's survival package (7,874 rows: the logarithm of kappa free light chains from age, sex, the
logarithms of lambda chains and of creatinine, of which 1,350 are missing). Log-density in nats per row (higher is
better; with the standard error of its mean), CRPS in the target's units (lower is better), the share of targets within
the central 90 % interval, its mean width, and seconds of a fit with its search, on a busy machine.

MixtureRegressor: K from 1, 2, 3, 5, 8 by cross-validated log-density within the rows learned from.
MixtureDensityRegressor: as it comes. Linear: least squares with a normal error of constant scale. Quantile boosting:
scikit-learn's HistGradientBoostingRegressor, one for each of 22 quantiles; it has no density, and its CRPS is the mean
pinball loss over 20 of them. Gaussian process: scikit-learn's, a scale for each feature and noise, on at most 1,000
rows. Those that take no gaps are given the mean in the place of what is missing.
"""

from __future__ import annotations

import argparse
import io
import math
import shutil
import subprocess
import time
import warnings
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import torch
from sklearn.datasets import load_diabetes
from sklearn.ensemble import HistGradientBoostingRegressor
from sklearn.gaussian_process import GaussianProcessRegressor
from sklearn.gaussian_process.kernels import RBF, ConstantKernel, WhiteKernel
from sklearn.impute import SimpleImputer
from sklearn.linear_model import LinearRegression
from sklearn.model_selection import GridSearchCV, KFold
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler

import mixtura as mx
from mixtura.sklearn import MixtureDensityRegressor, MixtureRegressor

_LEVEL, _PROCESS_ROWS = 0.9, 1000
_FLCHAIN = (
    "d <- survival::flchain; write.csv(data.frame(kappa = log(d$kappa), age = d$age, sex = as.integer(d$sex == 'M'),"
    " lambda = log(d$lambda), creatinine = log(d$creatinine)), row.names = FALSE)"
)


class Scores(NamedTuple):
    """What held-out rows say, row by row, and the seconds of a fit."""

    log_density: np.ndarray
    crps: np.ndarray
    held: np.ndarray
    width: np.ndarray
    seconds: float


Law = Callable[[np.ndarray, np.ndarray, np.ndarray], mx.Mixture]
"""From rows and targets to learn from, and other rows, to a mixture for each of the others."""


def mixture(x: np.ndarray, y: np.ndarray, new: np.ndarray) -> mx.Mixture:
    search = GridSearchCV(
        MixtureRegressor(random_state=0), {"n_components": [1, 2, 3, 5, 8]}, cv=3, error_score=-np.inf
    )
    return search.fit(x, y).best_estimator_.predict_distribution(new)


def network(x: np.ndarray, y: np.ndarray, new: np.ndarray) -> mx.Mixture:
    found = make_pipeline(SimpleImputer(), StandardScaler(), MixtureDensityRegressor(random_state=0)).fit(x, y)
    return found[-1].predict_distribution(found[:-1].transform(new))


def linear(x: np.ndarray, y: np.ndarray, new: np.ndarray) -> mx.Mixture:
    found = make_pipeline(SimpleImputer(), LinearRegression()).fit(x, y)
    scale = math.sqrt(np.square(y - found.predict(x)).sum() / (len(x) - x.shape[1] - 1))
    return _normal(found.predict(new), np.full(len(new), scale))


def process(x: np.ndarray, y: np.ndarray, new: np.ndarray) -> mx.Mixture:
    kernel = ConstantKernel() * RBF(np.ones(x.shape[1]), (1e-2, 1e4)) + WhiteKernel()
    some = np.random.RandomState(0).permutation(len(x))[:_PROCESS_ROWS]
    model = GaussianProcessRegressor(kernel, normalize_y=True, random_state=0)
    found = make_pipeline(SimpleImputer(), StandardScaler(), model).fit(x[some], y[some])
    return _normal(*found[-1].predict(found[:-1].transform(new), return_std=True))


def _normal(mean: np.ndarray, scale: np.ndarray) -> mx.Mixture:
    loc, scales = (torch.as_tensor(one).unsqueeze(-1) for one in (mean, scale))
    return mx.Mixture(torch.ones_like(loc), mx.Normal(loc, scales))


LAWS: dict[str, Law] = {
    "MixtureRegressor": mixture,
    "MixtureDensityRegressor": network,
    "linear, normal errors": linear,
    "Gaussian process": process,
}


def judged(law: Law, x: np.ndarray, y: np.ndarray, new: np.ndarray, target: np.ndarray) -> Scores:
    """The scores of mixtures."""
    begin = time.perf_counter()
    found = law(x, y, new)
    seconds = time.perf_counter() - begin
    came = torch.as_tensor(target)
    interval = mx.scoring.central_interval(found, _LEVEL)
    rows = found.log_prob(came), mx.scoring.crps(found, came), interval.holds(came), interval.width
    return Scores(*(one.double().numpy() for one in rows), seconds)


def boosted(x: np.ndarray, y: np.ndarray, new: np.ndarray, target: np.ndarray) -> Scores:
    """The scores of quantiles, each learned by itself."""
    begin, levels = time.perf_counter(), [*((np.arange(20) + 0.5) / 20), 0.05, 0.95]
    models = [HistGradientBoostingRegressor(loss="quantile", quantile=q, max_iter=100, random_state=0) for q in levels]
    found = np.stack([model.fit(x, y).predict(new) for model in models])
    seconds = time.perf_counter() - begin
    gap = target - found[:20]
    pinball = np.maximum(gap * np.array(levels[:20])[:, None], gap * (np.array(levels[:20])[:, None] - 1))
    held = ((found[20] <= target) & (target <= found[21])).astype(float)
    return Scores(np.full(len(target), np.nan), 2 * pinball.mean(0), held, found[21] - found[20], seconds)


def tables() -> Iterator[tuple[str, np.ndarray, np.ndarray]]:
    """The tables: name, rows, targets."""
    yield "diabetes", *load_diabetes(return_X_y=True)
    if shutil.which("Rscript"):
        found = subprocess.run(["Rscript", "--vanilla", "-e", _FLCHAIN], capture_output=True, text=True)
        if found.returncode == 0:
            table = np.genfromtxt(io.StringIO(found.stdout), delimiter=",", skip_header=1)
            yield "flchain", table[:, 1:], table[:, 0]


def lines(x: np.ndarray, y: np.ndarray) -> Iterator[str]:
    """The lines of one table, each method over all folds."""
    score = {name: lambda *parts, law=law: judged(law, *parts) for name, law in LAWS.items()}
    for name, run in (score | {"quantile boosting": boosted}).items():
        folds = KFold(5, shuffle=True, random_state=0).split(x)
        found = [run(x[a], y[a], x[b], y[b]) for a, b in folds]
        density, crps, held, width = (np.concatenate([one[i] for one in found]) for i in range(4))  # type: ignore[arg-type]
        error = density.std() / math.sqrt(len(density))
        nats = "none" if np.isnan(density).any() else f"{density.mean():.4f} ± {error:.4f}"
        seconds = np.mean([one.seconds for one in found])
        cells = f"{crps.mean():.4g} | {100 * held.mean():.1f} % | {width.mean():.4g} | {seconds:.2g}"
        yield f"| {name} | {nats} | {cells} |"


def main() -> None:
    parser = argparse.ArgumentParser("python -m benchmarks.conditional_densities", description=__doc__)
    parser.add_argument("--tables", nargs="*", help="which tables; all by default")
    asked: Any = parser.parse_args()
    warnings.simplefilter("ignore")
    page = [f"# Conditional densities\n\n{(__doc__ or '').split(chr(10), 2)[2].strip()}\n"]
    for name, x, y in tables():
        if asked.tables and name not in asked.tables:
            continue
        page += [f"## {name}: {len(x):,} rows, {x.shape[1]} features\n"]
        page += ["| | log-density | CRPS | within 90 % | width | seconds |\n|---|---:|---:|---:|---:|---:|"]
        for one in lines(x, y):
            print(one, flush=True)
            page.append(one)
        page.append("")
    (Path(__file__).parent / "CONDITIONAL_DENSITIES.md").write_text("\n".join(page), encoding="utf-8")


if __name__ == "__main__":
    main()
