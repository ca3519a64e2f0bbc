"""How often the best known optimum is reached, and how soon: ``python -m benchmarks.optima`` writes OPTIMA.md.

Forty problems, and ten held out that were not looked at while starts and moves were chosen. ``search`` looks long for
each one's best optimum, ``ours`` makes ten default fits of each with seeds 0 to 9 (for another version set PYTHONPATH
to its sources and give it a name), ``peer`` scikit-learn's GaussianMixture from many single starts. What is found is
kept in optima.json, and every command writes the table anew.

A fit has *reached* the best known optimum if its log-likelihood is within 0.05 nats of it, or above. A fit is
*spurious* if a component shrank on until the fit ended or, covariances not being tied, holds fewer than D + 2 rows, or
fewer than 4 (D + 1) and has a variance below 1e-3 of the data's in some direction, or one below 1e-5 however many it
holds (scikit-learn adds 1e-6): such ends are artefacts of a few rows, are never best known, and count as failures.
"""

from __future__ import annotations

import argparse
import json
import math
import time
import warnings
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import torch
from torch import Tensor

import mixtura as mx

_FEW = 100  # starts of scikit-learn, of which more are tried where none reached
NEAR = 0.05  # nats, of all rows
SEEDS = 10
CHANCE = 0.95  # with which the best optimum is to be reached
TOLERANCE = 1e-6  # scikit-learn's: at its default it stops nats short of where it was going
_KEPT = Path(__file__).parent / "optima.json"


class Problem(NamedTuple):
    """A table, a structure and a number of components."""

    table: str
    structure: str
    components: int

    @property
    def name(self) -> str:
        return f"{self.table} {self.structure} {self.components}"

    @property
    def x(self) -> Tensor:
        return TABLES[self.table]()


def _scaled(x: Any) -> Tensor:
    """Columns of unit variance, so that no floor or tolerance depends on the units."""
    x = torch.as_tensor(np.asarray(x), dtype=torch.float64)
    x = x[x.isfinite().all(-1)]
    return (x - x.mean(0)) / x.std(0)


def _sklearn(name: str, columns: list[int]) -> Callable[[], Tensor]:
    @cache
    def table() -> Tensor:
        from sklearn import datasets

        return _scaled(getattr(datasets, f"load_{name}")().data[:, columns])

    return table


@cache
def _penguins() -> Tensor:
    found = mx.datasets.penguins()
    names = ("bill_length_mm", "bill_depth_mm", "flipper_length_mm", "body_mass_g")
    return _scaled(torch.stack([torch.as_tensor(found[name]) for name in names], 1))


def _drawn(seed: int, rows: int, features: int, components: int, apart: float) -> Callable[[], Tensor]:
    """Rows from Gaussians of unequal shapes and weights that overlap."""

    @cache
    def table() -> Tensor:
        random = np.random.default_rng(seed)
        labels = random.choice(components, rows, p=random.dirichlet(np.full(components, 5.0)))
        centres = apart * random.normal(size=(components, features))
        roots = random.normal(size=(components, features, features)) / math.sqrt(features) + 0.4 * np.eye(features)
        noise = random.normal(size=(rows, features))
        return _scaled(centres[labels] + np.einsum("nij,nj->ni", roots[labels], noise))

    return table


TABLES: dict[str, Callable[[], Tensor]] = {
    "iris": _sklearn("iris", [0, 1, 2, 3]),
    "wine": _sklearn("wine", [0, 1, 2, 3, 4]),
    "penguins": _penguins,
    "cancer": _sklearn("breast_cancer", [0, 1, 4, 5]),
    "diabetes": _sklearn("diabetes", [2, 3, 4, 5]),
    "drawn 2-D": _drawn(1, 300, 2, 5, 2.0),
    "drawn 3-D": _drawn(2, 400, 3, 4, 1.2),
    "drawn 5-D": _drawn(3, 500, 5, 4, 1.0),
    "geyser": cache(lambda: _scaled(mx.datasets.old_faithful())),
    "wine, others": _sklearn("wine", [5, 6, 9, 10, 12]),
    "cancer, others": _sklearn("breast_cancer", [7, 10, 20]),
    "drawn 2-D again": _drawn(11, 350, 2, 6, 2.0),
    "drawn 4-D": _drawn(12, 300, 4, 3, 1.2),
}
_CELLS = {
    "iris": "full 2, full 3, diagonal 4, spherical 5, tied 4",
    "wine": "full 2, full 3, diagonal 3, diagonal 4, tied 3",
    "penguins": "full 3, full 4, diagonal 5, spherical 6, tied 4",
    "cancer": "full 3, full 4, diagonal 4, spherical 4, tied 5",
    "diabetes": "full 2, full 4, diagonal 3, spherical 5, tied 3",
    "drawn 2-D": "full 5, full 6, diagonal 5, spherical 6, tied 5",
    "drawn 3-D": "full 3, full 4, diagonal 5, spherical 6, tied 4",
    "drawn 5-D": "full 3, full 4, diagonal 6, spherical 4, tied 6",
}
_HELD_OUT = {
    "geyser": "full 4, diagonal 5",
    "wine, others": "full 3, spherical 4",
    "cancer, others": "full 3, tied 4",
    "drawn 2-D again": "full 6, diagonal 6",
    "drawn 4-D": "full 4, tied 3",
}


def _problems(cells: dict[str, str]) -> list[Problem]:
    pairs = [(table, *one.split()) for table, line in cells.items() for one in line.split(", ")]
    return [Problem(table, structure, int(components)) for table, structure, components in pairs]


FORTY, HELD_OUT = _problems(_CELLS), _problems(_HELD_OUT)


# -- what an optimum is


@dataclass(frozen=True)
class Optimum:
    """Where a fit ended: total log-likelihood in nats, and whether it is an artefact of a few rows."""

    log_likelihood: float
    spurious: bool

    @classmethod
    def of(cls, x: Tensor, weights: Tensor, mean: Tensor, covariance: Tensor) -> Optimum:
        """From parameters ``(K,)``, ``(K, D)`` and ``(K, D, D)``, whoever found them."""
        law = torch.distributions.MultivariateNormal(mean, covariance)
        joint = law.log_prob(x.unsqueeze(1)) + weights.log()
        rows = torch.softmax(joint, -1).sum(0)
        thin = torch.linalg.eigvals(torch.linalg.solve(torch.cov(x.mT), covariance)).real.amin(-1)
        few = (rows < x.shape[-1] + 2) | (rows < 4 * (x.shape[-1] + 1)) & (thin < 1e-3)
        tied = bool((covariance == covariance[:1]).all())
        return cls(torch.logsumexp(joint, -1).sum().item(), not tied and bool((few | (thin < 1e-5)).any()))


def _of(x: Tensor, fit: mx.Fit) -> Optimum:
    if fit.reason is mx.Reason.COLLAPSED:
        return Optimum(fit.log_likelihood, True)
    components = fit.mixture.components
    return Optimum.of(x, fit.mixture.weights, components.mean, components.covariance)


def tied(structure: str) -> str:
    """The structure by its name here."""
    return "tied-full" if structure == "tied" else structure


def search(problem: Problem, starts: int) -> float:
    """The best log-likelihood from many starts of three kinds, each run to its end, that is not spurious."""
    x, best = problem.x, -math.inf
    kinds = (mx.learning.KMeansPlusPlus(), mx.learning.RandomRows(), mx.learning.KMeansStart())
    for seed in range(starts):
        found = mx.fit(
            x,
            problem.components,
            covariance=tied(problem.structure),
            method=mx.EM(3000, 1e-9),
            init=kinds[seed % 3],
            restarts=1,
            generator=torch.Generator().manual_seed(1000 + seed),
        )
        end = _of(x, found)
        best = best if end.spurious else max(best, end.log_likelihood)
    return best


Attempt = Callable[[Problem, int], Optimum]


def ours(problem: Problem, seed: int) -> Optimum:
    """One default fit."""
    generator = torch.Generator().manual_seed(seed)
    found = mx.fit(problem.x, problem.components, covariance=tied(problem.structure), generator=generator)
    return _of(problem.x, found)


def theirs(kind: str) -> Attempt:
    """One start of scikit-learn's GaussianMixture."""
    from sklearn.mixture import GaussianMixture

    def attempt(problem: Problem, seed: int) -> Optimum:
        model = GaussianMixture(
            problem.components,
            covariance_type={"diagonal": "diag"}.get(problem.structure, problem.structure),
            tol=TOLERANCE,
            max_iter=2000,
            init_params=kind,
            random_state=seed,
        ).fit(problem.x.numpy())
        return Optimum.of(problem.x, *_dense(model, problem))

    return attempt


def _dense(model: Any, problem: Problem) -> tuple[Tensor, Tensor, Tensor]:
    found, eye = torch.as_tensor(model.covariances_), torch.eye(problem.x.shape[-1], dtype=torch.float64)
    dense = {
        "full": lambda: found,
        "tied": lambda: found.expand(problem.components, -1, -1),
        "diagonal": lambda: torch.diag_embed(found),
        "spherical": lambda: found[:, None, None] * eye,
    }[problem.structure]()
    return torch.as_tensor(model.weights_), torch.as_tensor(model.means_), dense


def tried(attempt: Attempt, problem: Problem, seeds: range) -> dict[str, Any]:
    """Where attempts from some seeds ended, and the processor time of one, in seconds."""
    attempt(problem, 0)
    begin = time.process_time()
    ends = [attempt(problem, seed) for seed in seeds]
    seconds = (time.process_time() - begin) / len(seeds)
    return {
        "seconds": seconds,
        "ends": [round(one.log_likelihood, 4) for one in ends],
        "spurious": sum(one.spurious for one in ends),
        "sound": [not one.spurious for one in ends],
    }


# -- the table


def best_known(kept: dict[str, Any], problem: Problem) -> float:
    """The best log-likelihood that anything found which is not spurious."""
    found = [one[problem.name] for one in (*kept["ours"].values(), *kept["peer"].values()) if problem.name in one]
    ends = (end for one in found for end, sound in zip(one["ends"], one["sound"], strict=True) if sound)
    return max([kept["search"].get(problem.name, -math.inf), *ends])


def reached(one: dict[str, Any], best: float) -> float:
    """The share of attempts that reached the best known optimum."""
    good = [sound and end > best - NEAR for end, sound in zip(one["ends"], one["sound"], strict=True)]
    return sum(good) / len(good)


def until(one: dict[str, Any], best: float) -> float:
    """Seconds until it is reached with `CHANCE`: attempts needed times the time of one; a bound where none reached."""
    share = reached(one, best) or 1 / (len(one["ends"]) + 1)
    return one["seconds"] * (1.0 if share == 1 else max(1.0, math.log(1 - CHANCE) / math.log(1 - share)))


def document(kept: dict[str, Any]) -> str:
    text = [__doc__.split("\n\n", 1)[1], _TEXT, *(f"\n{said}" for said in kept.get("said", []))]
    for title, problems in (("The forty problems", FORTY), ("Held out", HELD_OUT)):
        text += [f"\n## {title}\n", *_table(kept, problems)]
    return "# Reaching the best optimum\n\n" + "\n".join(text) + "\n"


_TEXT = f"""Times are of the processor, in milliseconds, in one thread. "95 %" is the time after which the best known
optimum has been reached with probability {CHANCE}: attempts needed, each independent, times the time of one.
scikit-learn starts from "kmeans" or "random_from_data", whichever is sooner there, at tolerance {TOLERANCE:g}; where no
start reached it, its time is a lower bound (>), which ``rare`` makes sharper by ten times as many starts."""


def _table(kept: dict[str, Any], problems: list[Problem]) -> Iterator[str]:
    names = list(kept["ours"])
    yield (
        "| problem | best known | "
        + " | ".join(f"{name}: reached | ms | spurious | 95 %" for name in names)
        + " | scikit-learn: reached | ms | 95 % | times |"
    )
    yield "|---|---:|" + "---:|" * (4 * len(names) + 4)
    ratios, sums = [], {name: [0, 0, 0.0, 0] for name in names}
    for problem in problems:
        best = best_known(kept, problem)
        cells = [problem.name, f"{best:.2f}"]
        for name in names:
            cells += _ours_cells(kept["ours"][name].get(problem.name), best, sums[name])
        peers = [one[problem.name] for one in kept["peer"].values() if problem.name in one]
        last = kept["ours"][names[-1]].get(problem.name) if names else None
        cells += _peer_cells(peers, last, best, ratios)
        yield "| " + " | ".join(cells) + " |"
    totals = [f"**{s[0]} of {s[1]}** | {s[2]:.3g} | {s[3]} | " for s in sums.values()]
    median = f"**{sorted(ratios)[len(ratios) // 2]:.3g}** (median)" if ratios else ""
    yield "| **all** | | " + " | ".join(totals) + f" | | | | {median} |"


def _ours_cells(one: dict[str, Any] | None, best: float, total: list) -> list[str]:
    if one is None:
        return ["", "", "", ""]
    count = round(reached(one, best) * len(one["ends"]))
    for i, value in enumerate((count, len(one["ends"]), 1e3 * one["seconds"] * len(one["ends"]), one["spurious"])):
        total[i] += value
    return [f"{count}", f"{1e3 * one['seconds']:.3g}", f"{one['spurious'] or ''}", f"{1e3 * until(one, best):.3g}"]


def _peer_cells(peers: list, last: dict[str, Any] | None, best: float, ratios: list[float]) -> list[str]:
    if not peers:
        return ["", "", "", ""]
    peer = min(peers, key=lambda one: until(one, best))
    mark = "" if reached(peer, best) else ">"
    cells = [
        f"{100 * reached(peer, best):.0f} %",
        f"{1e3 * peer['seconds']:.3g}",
        f"{mark}{1e3 * until(peer, best):.3g}",
    ]
    if last is None:
        return [*cells, ""]
    ratios.append(until(peer, best) / until(last, best))
    return [*cells, f"{mark}{ratios[-1]:.3g}"]


def main() -> None:
    parser = argparse.ArgumentParser("python -m benchmarks.optima", description=__doc__.split("\n")[0])
    parser.add_argument("what", nargs="*", default=["search", "ours", "peer"], help="search, ours, peer, rare or table")
    parser.add_argument("--name", default="after", help="of this version's columns")
    parser.add_argument("--starts", type=int, default=150, help="of the long search, for each problem")
    parser.add_argument("--peer-starts", type=int, default=100, help="of scikit-learn, for each problem")
    parser.add_argument("--only", default="", help="only problems whose name contains this")
    parser.add_argument("--kept", type=Path, default=_KEPT, help="where what is found is kept")
    options = parser.parse_args()
    torch.set_num_threads(1)
    warnings.simplefilter("ignore")
    kept = json.loads(options.kept.read_text()) if options.kept.exists() else {"search": {}, "ours": {}, "peer": {}}
    for problem in [one for one in (*FORTY, *HELD_OUT) if options.only in one.name]:
        _measure(options, problem, kept)
        options.kept.write_text(json.dumps(kept) + "\n")
        options.kept.with_name("OPTIMA.md").write_text(document(kept))


def _known(one: dict[str, Any], problem: Problem, kept: dict[str, Any]) -> bool:
    """Whether some attempt reached the best known optimum, or many were made already."""
    return reached(one, best_known(kept, problem)) > 0 or len(one["ends"]) > _FEW


def _further(attempt: Attempt, problem: Problem, one: dict[str, Any]) -> dict[str, Any]:
    """Ten times as many attempts; the time of one is that known."""
    more = tried(attempt, problem, range(len(one["ends"]), 10 * len(one["ends"])))
    both = {key: one[key] + more[key] for key in ("ends", "spurious", "sound")}
    return {"seconds": one["seconds"], **both}


def _measure(options: argparse.Namespace, problem: Problem, kept: dict[str, Any]) -> None:
    if "search" in options.what:
        found = search(problem, options.starts)
        kept["search"][problem.name] = max(found, kept["search"].get(problem.name, -math.inf))
    if "ours" in options.what:
        kept["ours"].setdefault(options.name, {})[problem.name] = tried(ours, problem, range(SEEDS))
    if "peer" in options.what:
        for kind in ("kmeans", "random_from_data"):
            kept["peer"].setdefault(kind, {})[problem.name] = tried(theirs(kind), problem, range(options.peer_starts))
    if "rare" in options.what and not any(_known(one[problem.name], problem, kept) for one in kept["peer"].values()):
        for kind, found in kept["peer"].items():
            found[problem.name] = _further(theirs(kind), problem, found[problem.name])
    best = best_known(kept, problem)
    shares = [
        f"{name} {reached(one[problem.name], best):.2f}" for name, one in kept["ours"].items() if problem.name in one
    ]
    print(problem.name, f"{best:.3f}", *shares, flush=True)


if __name__ == "__main__":
    main()
