"""Small tables, where most fits are: ``python -m benchmarks.small`` writes SMALL.md.

Whole calls, as a user makes them, timed on the wall in processes with one and with two threads: both sides take turns
and the shortest of a few turns counts. R's mclust is asked by ``Rscript``, scikit-learn in the same process. What is
compared ends at the same place: the same model by BIC, the same tolerance, the same number of updates.
"""

from __future__ import annotations

import argparse
import inspect
import json
import os
import shutil
import subprocess
import sys
import tempfile
import time
import warnings
from collections.abc import Callable, Iterator
from functools import partial
from pathlib import Path
from typing import Any, NamedTuple

import torch

import mixtura as mx

from . import startup

FOURTEEN = "EII VII EEI VEI EVI VVI EEE VEE EVE VVE EEV VEV EVV VVV".split()
_TOLERANCE = 1e-7
_LONG = 5.0  # seconds


class Line(NamedTuple):
    """One line of the table: what, our seconds, theirs, what was promised, and what else there is to say."""

    what: str
    ours: float
    theirs: float | None
    promise: str
    note: str = ""


def shortest(*runs: Callable[[], Any], rounds: int) -> list[float]:
    """The shortest time of each, in turns; once more is enough for what takes long."""
    best = [_seconds(run) for run in runs]
    for turn in range(rounds):
        for i, run in enumerate(runs):
            if turn == 0 or best[i] < _LONG:
                best[i] = min(best[i], _seconds(run))
    return best


def _seconds(run: Callable[[], Any]) -> float:
    begin = time.perf_counter()
    run()
    return time.perf_counter() - begin


# -- whole searches, beside mclust


def _mclust(data: str, rounds: int) -> tuple[float, str, int, float] | None:
    """Seconds of ``Mclust(data)``, and the model, number of components and BIC (lower is better) that it chose."""
    program = (
        f"suppressMessages(library(mclust)); x <- {data}; f <- Mclust(x, verbose = FALSE);"
        f"t <- sapply(1:{rounds}, function(i) system.time(Mclust(x, verbose = FALSE))[['elapsed']]);"
        "cat(min(t), f$modelName, f$G, format(-f$bic, digits = 12))"
    )
    if shutil.which("Rscript") is None:
        return None
    found = subprocess.run(["Rscript", "--vanilla", "-e", program], capture_output=True, text=True)
    if found.returncode:
        return None
    seconds, model, components, bic = found.stdout.split()
    return float(seconds), model, int(components), float(bic)


def searches(rounds: int) -> Iterator[Line]:
    """All fourteen structures with one to nine components, from sixteen starts each."""
    from sklearn.datasets import load_iris

    for name, data, x in (
        ("Old Faithful", "faithful", mx.datasets.old_faithful()),
        ("iris", "iris[, 1:4]", torch.as_tensor(load_iris().data)),
    ):
        (seconds,) = shortest(partial(_search, x), rounds=rounds)
        chosen = _search(x)
        peer = _mclust(data, rounds)
        note = f"ours: {_model(chosen)}, BIC {chosen.best.bic:.2f}"
        note += f"; mclust: {peer[1]} {peer[2]}, BIC {peer[3]:.2f}" if peer else ""
        yield Line(f"select on {name}, 126 models x 16 starts, beside Mclust", seconds, peer and peer[0], "0.5", note)


def _search(x: torch.Tensor) -> mx.Selection:
    generator = torch.Generator().manual_seed(0)
    return mx.select(x, components=range(1, 10), covariance=FOURTEEN, generator=generator)


def _model(chosen: mx.Selection) -> str:
    structure = getattr(chosen.best.mixture.components, "structure", None)
    return f"{getattr(structure, 'code', None) or getattr(structure, 'name', '')} {len(chosen.best.mixture.weights)}"


# -- single fits, beside scikit-learn


def _groups(rows: int, features: int, components: int) -> torch.Tensor:
    generator = torch.Generator().manual_seed(0)
    centres = 2.5 * torch.randn(components, features, generator=generator, dtype=torch.float64)
    labels = torch.randint(components, (rows,), generator=generator)
    return centres[labels] + torch.randn(rows, features, generator=generator, dtype=torch.float64)


def default_fit(rounds: int) -> Iterator[Line]:
    """A default fit from sixteen starts beside one start of scikit-learn at the same tolerance."""
    from sklearn.mixture import GaussianMixture

    x = _groups(300, 2, 3)

    def ours() -> mx.Fit:
        return mx.fit(x, 3, generator=torch.Generator().manual_seed(0))

    def theirs() -> Any:
        return GaussianMixture(3, tol=_TOLERANCE, max_iter=1000, reg_covar=0, random_state=0).fit(x.numpy())

    note = f"log-likelihood {ours().log_likelihood:.3f} and {300 * theirs().score(x.numpy()):.3f}"
    times = shortest(ours, theirs, rounds=3 * rounds)
    yield Line("default fit (300, 2, 3) of 16 starts, beside one start of scikit-learn", *times, "1", note)


def updates(rounds: int) -> Iterator[Line]:
    """One update from one start: the difference of two numbers of updates, so that all else cancels."""
    few, ours_many, theirs_many = 10, 4010, 110
    for shape in ((300, 2, 3), (1000, 5, 5)):
        ours, theirs = from_one_start(*shape)
        spans = ((ours, few), (ours, ours_many), (theirs, few), (theirs, theirs_many))
        a, b, c, d = shortest(*(partial(run, count) for run, count in spans), rounds=rounds)
        yield Line(f"one update {shape}", (b - a) / (ours_many - few), (d - c) / (theirs_many - few), "0.125")


def from_one_start(rows: int, features: int, components: int) -> tuple[Callable[[int], Any], Callable[[int], Any]]:
    """So many updates of ours, and of scikit-learn's, from the same mixture."""
    from sklearn.mixture import GaussianMixture

    x = _groups(rows, features, components)
    start = mx.fit(x, components, method=mx.EM(1), restarts=1, generator=torch.Generator().manual_seed(0)).mixture
    parameters = {
        "weights_init": start.weights.numpy(),
        "means_init": start.components.mean.numpy(),
        "precisions_init": torch.linalg.inv(start.components.covariance).numpy(),
        "init_params": "random_from_data",
    }

    def ours(count: int) -> mx.Fit:
        return mx.fit(x, init=start, method=_plain(count))

    def theirs(count: int) -> GaussianMixture:
        return GaussianMixture(components, tol=0, max_iter=count, **parameters).fit(x.numpy())

    return ours, theirs


def _plain(count: int) -> mx.EM:
    """EM of so many plain updates: without acceleration, where there is any."""
    plain = {"acceleration": None} if "acceleration" in inspect.signature(mx.EM).parameters else {}
    return mx.EM(count, 0.0, **plain)


def many_groups(rounds: int) -> Iterator[Line]:
    """Ten thousand fits of a hundred numbers; scikit-learn's loop is timed on two hundred of them."""
    from sklearn.mixture import GaussianMixture

    if "groups" not in inspect.signature(mx.fit).parameters:
        return
    generator = torch.Generator().manual_seed(0)
    count, size, some = 10_000, 100, 200
    upper = torch.rand(count, size, generator=generator) < 0.4
    table = torch.randn(count, size, generator=generator, dtype=torch.float64) + 3.0 * upper
    labels = torch.arange(count).repeat_interleave(size)

    def ours() -> None:
        mx.fit(table.reshape(-1), 2, groups=labels, generator=torch.Generator().manual_seed(0))

    def theirs() -> None:
        for one in table[:some].numpy():
            GaussianMixture(2, random_state=0).fit(one[:, None])

    seconds, loop = shortest(ours, theirs, rounds=2)
    note = f"scikit-learn's default fits, one start each, measured on {some}"
    yield Line("10000 groups of 100 numbers, K = 2", seconds, loop * count / some, "0.01", note)


# -- what a newcomer waits for

_FIRST = """
import time, torch, warnings
import mixtura as mx
x = torch.randn(300, 2, dtype=torch.double) + 4.0 * (torch.arange(300) % 3)[:, None]
times = []
for _ in range(3):
    begin = time.perf_counter()
    mx.fit(x, 3, generator=torch.Generator().manual_seed(0))
    times.append(time.perf_counter() - begin)
print(times[0] - min(times[1:]))
"""


def beginnings(rounds: int) -> Iterator[Line]:
    """Importing, and the first fit after an install: nothing is compiled yet."""
    found = startup.measure(max(3, rounds))
    yield Line("import mixtura, when torch is there", found[startup.NAMES[1]], None, "0.1 s")
    first = []
    for _ in range(2):
        with tempfile.TemporaryDirectory() as folder:
            fresh = {**os.environ, "NUMBA_CACHE_DIR": folder}
            first.append(float(subprocess.check_output([sys.executable, "-c", _FIRST], env=fresh, text=True)))
    yield Line("first fit (300, 2, 3) after an install, more than the next", min(first), None, "2 s")


PARTS = {"searches": searches, "fit": default_fit, "updates": updates, "groups": many_groups, "first": beginnings}


def measured(threads: int, parts: list[str], rounds: int) -> list[Line]:
    """The lines with so many threads, from a process of their own."""
    many = {f"{name}_NUM_THREADS": str(threads) for name in ("OMP", "MKL", "OPENBLAS", "NUMBA")}
    command = [sys.executable, "-m", "benchmarks.small", "--inside", "--rounds", str(rounds), "--parts", *parts]
    found = subprocess.check_output(command, text=True, env={**os.environ, **many}, cwd=Path(__file__).parent.parent)
    return [Line(*one) for one in json.loads(found.splitlines()[-1])]


def document(found: dict[int, list[Line]]) -> str:
    """The table: for each number of threads ours, theirs and the ratio."""
    text = [f"# Small tables\n\n{__doc__.split(chr(10), 2)[2].strip()}\n"]
    text.append("| what | threads | Mixtura | peer | ratio | promised, at most |\n|---|---:|---:|---:|---:|---|")
    notes = []
    for lines in zip(*found.values(), strict=True):
        for threads, line in zip(found, lines, strict=True):
            theirs, ratio = ("", "") if line.theirs is None else (_time(line.theirs), f"{line.ours / line.theirs:.2g}")
            text.append(f"| {line.what} | {threads} | {_time(line.ours)} | {theirs} | {ratio} | {line.promise} |")
        notes += [f"- {lines[0].what}: {lines[0].note}."] if lines[0].note else []
    return "\n".join([*text, "", *notes]) + "\n"


def _time(seconds: float) -> str:
    return f"{seconds:.3g} s" if seconds >= 1 else f"{1e3 * seconds:.3g} ms" if seconds >= 1e-3 else _micro(seconds)


def _micro(seconds: float) -> str:
    return f"{1e6 * seconds:.3g} µs"


def main() -> None:
    parser = argparse.ArgumentParser("python -m benchmarks.small", description=__doc__)
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--threads", type=int, nargs="+", default=[1, 2])
    parser.add_argument("--parts", nargs="+", choices=PARTS, default=list(PARTS))
    parser.add_argument("--inside", action="store_true", help="measure in this process and print")
    parser.add_argument("--out", type=Path, default=Path(__file__).parent, help="folder of SMALL.md")
    options = parser.parse_args()
    warnings.simplefilter("ignore")
    if options.inside:
        print(json.dumps([line for part in options.parts for line in PARTS[part](options.rounds)]))
        return
    text = document({threads: measured(threads, options.parts, options.rounds) for threads in options.threads})
    (options.out / "SMALL.md").write_text(text)
    print(text)


if __name__ == "__main__":
    main()
