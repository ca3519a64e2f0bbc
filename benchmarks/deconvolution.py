"""Mixtures through errors: ``python -m benchmarks.deconvolution`` writes DECONVOLUTION.md.

Extreme deconvolution beside astroML's `XDGMM`: ten updates from one start on rows with a full error covariance each,
ending at the same likelihood. astroML takes a minute for them, so it runs once. Drawing through errors stands beside
the plain way, a loop over components with masks.
"""

from __future__ import annotations

import argparse
import time
from collections.abc import Callable, Sequence
from importlib.util import find_spec
from pathlib import Path
from typing import NamedTuple

import torch
from torch import Tensor

import mixtura as mx
from mixtura.learning import expect, soft
from mixtura.learning.expectation.recorded import recorded

_ITERATIONS = 10


class Case(NamedTuple):
    """Recorded rows, the covariance of each one's error, and where everybody starts."""

    y: Tensor
    noise: Tensor
    start: mx.Mixture


class Line(NamedTuple):
    """One line of the table, in seconds."""

    what: str
    ours: float
    theirs: float | None
    peer: str
    promise: str


def case(count: int, features: int, components: int) -> Case:
    """Rows of a mixture, each with an error covariance of its own."""
    generator = torch.Generator().manual_seed(0)

    def randn(*shape: int) -> Tensor:
        return torch.randn(*shape, dtype=torch.float64, generator=generator)

    root = randn(components, features, features)
    law = mx.Gaussian(4 * randn(components, features), root @ root.mT + 0.2 * torch.eye(features, dtype=torch.float64))
    truth = mx.Mixture(torch.ones(components, dtype=torch.float64), law)
    error = 0.5 * randn(count, features, features)
    y = truth.sample((count,), generator) + (error @ randn(count, features, 1)).squeeze(-1)
    spread = y.mT.cov().expand(components, -1, -1).clone()
    return Case(y, error @ error.mT, mx.Mixture(truth.weights, mx.Gaussian(y[:components].clone(), spread)))


def ours(given: Case) -> float:
    """Ten updates; returns the log-likelihood that they end at."""
    noise = mx.observation.AdditiveNoise(covariance=given.noise, per_row=True)
    seen = recorded(given.y, observation=noise)
    state, method = given.start.map(lambda tensor: tensor.unsqueeze(0)), mx.EM()
    for _ in range(_ITERATIONS):
        state = method.update(expect(state, seen, soft), state)
    return expect(state, seen, soft).log_likelihood.item()


def astroml(given: Case) -> float:
    """The same by astroML."""
    from astroML.density_estimation import XDGMM

    model, components = XDGMM(len(given.start.weights)), given.start.components
    model.alpha, model.mu, model.V = given.start.weights.numpy(), components.mean.numpy(), components.covariance.numpy()
    y, noise = given.y.numpy(), given.noise.numpy()
    for _ in range(_ITERATIONS):
        model._EMstep(y, noise)
    return model.logL(y, noise)


def draws(components: int, count: int) -> tuple[Callable[[], Tensor], Callable[[], Tensor]]:
    """Draws with additive errors: by an observation, and by a loop over components."""
    loc, scale, error = torch.linspace(0, 1000, components), torch.rand(components) + 0.5, torch.rand(components) / 10
    recorded = mx.Mixture(torch.ones(components), mx.Normal(loc, scale)).observed(
        mx.observation.AdditiveNoise(0.0, error)
    )

    def masked() -> Tensor:
        labels = torch.multinomial(torch.ones(components), count, replacement=True)
        out = torch.zeros(count)
        for k in range(components):
            chosen = labels == k
            size = int(chosen.sum())
            out[chosen] = loc[k] + scale[k] * torch.randn(size) + error[k] * torch.randn(size)
        return out

    return lambda: recorded.sample((count,)), masked


Clock = Callable[[], float]


def seconds(runs: Sequence[Callable[[], object]], repeats: int, clock: Clock) -> list[float]:
    """The shortest time of a few calls of each, taken in turns."""
    best = [float("inf")] * len(runs)
    for _ in range(repeats):
        for i, run in enumerate(runs):
            begin = clock()
            run()
            best[i] = min(best[i], clock() - begin)
    return best


def lines(clock: Clock) -> list[Line]:
    """Everything that is measured."""
    found = []
    for features, peer in ((2, True), (5, False)):
        given = case(20_000, features, 10)
        ours(given)
        (mine,), theirs = seconds([lambda given=given: ours(given)], 15, clock), None
        if peer and find_spec("astroML") is not None:
            ends: list[float] = []
            (theirs,) = seconds([lambda given=given, ends=ends: ends.append(astroml(given))], 1, clock)
            _check(ends[0], ours(given))
        promise = "300 times faster, same likelihood" if peer else "no peer: the C code needs GSL"
        found.append(Line(f"ten updates (20000, {features}, 10)", mine, theirs, "astroML", promise))
    both = draws(100, 1_000_000)
    seconds(both, 1, clock)
    fast, masked = seconds(both, 7, clock)
    found.append(Line("1e6 draws, K = 100", fast, masked, "masked loop", "10 times faster"))
    return found


def _check(theirs: float, mine: float) -> None:
    if abs(theirs / mine - 1) > 1e-9:
        raise RuntimeError("astroML ends at another likelihood")


def document(found: list[Line], busy: bool) -> str:
    """The table."""
    threads, kind = torch.get_num_threads(), "of the processor, on a busy machine" if busy else "on the wall"
    head = f"# Mixtures through errors\n\nSeconds {kind}, {threads} threads, written by `make bench`.\n\n"
    table = ["| what | Mixtura | peer | | ratio | promise |", "|---|---:|---:|---|---:|---|"]
    for line in found:
        theirs = "" if line.theirs is None else f"{line.theirs:.3g}"
        ratio = "" if line.theirs is None else f"{line.theirs / line.ours:.3g}"
        table.append(f"| {line.what} | {line.ours:.3g} | {theirs} | {line.peer} | {ratio} | {line.promise} |")
    return head + "\n".join(table) + "\n"


def main() -> None:
    parser = argparse.ArgumentParser("python -m benchmarks.deconvolution", description=__doc__)
    parser.add_argument("--out", type=Path, default=Path(__file__).parent, help="folder of DECONVOLUTION.md")
    parser.add_argument("--busy", action="store_true", help="processor time, for a machine that does other things too")
    options = parser.parse_args()
    text = document(lines(time.process_time if options.busy else time.perf_counter), options.busy)
    (options.out / "DECONVOLUTION.md").write_text(text)
    print(text)


if __name__ == "__main__":
    main()
