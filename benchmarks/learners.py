"""The other learners beside scikit-learn: ``python -m benchmarks.learners`` writes LEARNERS.md.

Each is timed as the difference of two numbers of iterations from one start, so that set-up cancels; both take turns and
the shortest of a few turns counts. K-means must end at the same sum of squares; variational Bayes, which scikit-learn
cannot be given a start for, is compared in time alone; Gibbs sampling has a promise in milliseconds.
"""

from __future__ import annotations

import argparse
import time
import warnings
from collections.abc import Callable
from pathlib import Path
from typing import NamedTuple

import torch
from torch import Tensor

import mixtura as mx

Run = Callable[[int], float]


class Line(NamedTuple):
    """One line of the table: times in milliseconds per iteration."""

    what: str
    ours: float
    theirs: float | None
    promise: str


def groups(rows: int, features: int, components: int, apart: float = 4.0) -> tuple[Tensor, Tensor]:
    """Rows from Gaussians of unit variance, and the first rows as a start."""
    generator = torch.Generator().manual_seed(0)
    centres = apart * torch.randn(components, features, generator=generator, dtype=torch.float64)
    labels = torch.randint(components, (rows,), generator=generator)
    x = centres[labels] + torch.randn(rows, features, generator=generator, dtype=torch.float64)
    return x, x[:components].clone()


def kmeans(rows: int, features: int, components: int) -> tuple[Run, Run]:
    """Lloyd's algorithm from the same centres."""
    from sklearn.cluster import KMeans

    x, start = groups(rows, features, components, 0.5)  # overlapping, so that neither ends before it is told to

    def ours(iterations: int) -> float:
        return mx.fit(x, init=start, method=mx.KMeans(iterations, 0)).inertia

    def theirs(iterations: int) -> float:
        model = KMeans(components, init=start.numpy(), n_init=1, algorithm="lloyd", max_iter=iterations, tol=0)
        model.fit(x.numpy())
        if model.n_iter_ != iterations:
            raise RuntimeError(f"scikit-learn stopped after {model.n_iter_} of {iterations} iterations")
        return model.inertia_

    return ours, theirs


def variational(rows: int, features: int, components: int) -> tuple[Run, Run]:
    """Variational Bayes with a finite Dirichlet."""
    from sklearn.mixture import BayesianGaussianMixture

    x, start = groups(rows, features, components)
    first = mx.fit(x, init=start, method=mx.EM(1, 0)).mixture

    def ours(iterations: int) -> float:
        method = mx.Variational(max_iterations=iterations, tolerance=0, elimination=False)
        return mx.fit(x, init=first, method=method).bound

    def theirs(iterations: int) -> float:
        options = {"tol": 0, "init_params": "random_from_data", "random_state": 0}
        prior = "dirichlet_distribution"
        model = BayesianGaussianMixture(
            n_components=components, max_iter=iterations, weight_concentration_prior_type=prior, **options
        )
        return model.fit(x.numpy()).lower_bound_

    return ours, theirs


def gibbs(rows: int, features: int, components: int) -> Run:
    """Sweeps of one chain."""
    x, start = groups(rows, features, components)
    first = mx.fit(x, init=start, method=mx.EM(5, 0)).mixture

    def ours(sweeps: int) -> float:
        method = mx.Gibbs(draws=sweeps, warmup=0, chains=1, generator=torch.Generator().manual_seed(0))
        return mx.fit(x, init=first, method=method).trace[-1].item()

    return ours


def milliseconds(runs: list[Run], clock: Callable[[], float], rounds: int, most: int) -> list[float]:
    """The time of one iteration of each, taken in turns: the shortest long run less the shortest short one."""
    for run in runs:
        run(2)
    short, long = [float("inf")] * len(runs), [float("inf")] * len(runs)
    for _ in range(rounds):
        for i, run in enumerate(runs):
            short[i] = min(short[i], _seconds(run, 2, clock))
            long[i] = min(long[i], _seconds(run, 2 + most, clock))
    return [1e3 * (last - first) / most for first, last in zip(short, long, strict=True)]


def _seconds(run: Run, iterations: int, clock: Callable[[], float]) -> float:
    begin = clock()
    run(iterations)
    return clock() - begin


def lines(clock: Callable[[], float], rounds: int) -> list[Line]:
    """Everything that is measured."""
    found = []
    for shape in ((100_000, 10, 10), (1_000_000, 2, 50), (100_000, 50, 100)):
        ours, theirs = kmeans(*shape)
        if abs(ours(10) / theirs(10) - 1) > 1e-9:
            raise RuntimeError(f"K-means at {shape} ends elsewhere than scikit-learn's")
        times = milliseconds([ours, theirs], clock, rounds, 20)
        found.append(Line(f"K-means {shape}", *times, "at least twice as fast, same sum of squares"))
    for shape in ((100_000, 2, 8), (100_000, 10, 10), (20_000, 10, 30)):
        times = milliseconds(list(variational(*shape)), clock, rounds, 20)
        found.append(Line(f"variational Bayes {shape}", *times, "at least 4 times faster"))
    (sweep,) = milliseconds([gibbs(100_000, 2, 8)], clock, rounds, 20)
    found.append(Line("Gibbs sweep (100000, 2, 8)", sweep, None, "below 50 ms"))
    return found


def document(found: list[Line], busy: bool) -> str:
    """The table."""
    clock = "processor time" if busy else "time on the wall"
    head = (
        f"# Learners beside scikit-learn\n\nMilliseconds per iteration, {clock}, {torch.get_num_threads()} threads.\n\n"
    )
    rows = ["| what | Mixtura | scikit-learn | ratio | promise |", "|---|---:|---:|---:|---|"]
    for line in found:
        theirs = "" if line.theirs is None else f"{line.theirs:.3g}"
        ratio = "" if line.theirs is None else f"{line.theirs / line.ours:.2g}"
        rows.append(f"| {line.what} | {line.ours:.3g} | {theirs} | {ratio} | {line.promise} |")
    return head + "\n".join(rows) + "\n"


def main() -> None:
    parser = argparse.ArgumentParser("python -m benchmarks.learners", description=__doc__)
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--busy", action="store_true", help="processor time, for a machine that does other things too")
    parser.add_argument("--out", type=Path, default=Path(__file__).parent, help="folder of LEARNERS.md")
    options = parser.parse_args()
    warnings.simplefilter("ignore")
    found = lines(time.process_time if options.busy else time.perf_counter, options.rounds)
    text = document(found, options.busy)
    (options.out / "LEARNERS.md").write_text(text)
    print(text)


if __name__ == "__main__":
    main()
