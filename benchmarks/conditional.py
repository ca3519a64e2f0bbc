"""Networks that return mixtures: ``python -m benchmarks.conditional`` writes CONDITIONAL.md.

One training step (forward, loss, backward) of ours, of Zuko's `GMM` and of torch's `MixtureSameFamily` behind a network
of the same layers. Each runs in a process of its own, in turns, so that its peak memory is its own: how far the largest
step raised the process beyond a step of a few rows. Processor seconds on one thread, wall seconds on two.
"""

from __future__ import annotations

import argparse
import json
import resource
import subprocess
import sys
import time
from collections.abc import Callable
from functools import partial
from pathlib import Path
from typing import NamedTuple

import torch
from torch import Tensor, nn

import mixtura as mx

ROWS, CONTEXT, FEATURES, COMPONENTS = 4096, 10, 8, 16
SUBJECTS = ("mixtura", "zuko", "torch")
STRUCTURES = ("full", "diagonal", "spherical")
FEW = 16
Loss = Callable[[int], Tensor]


class Measured(NamedTuple):
    """What one process found: seconds a step, and MiB at the peak."""

    seconds: float
    memory: float


class ByHand(nn.Module):
    """The same network before torch's own distributions."""

    def __init__(self, structure: str) -> None:
        super().__init__()
        self.sizes = [COMPONENTS, COMPONENTS * FEATURES, COMPONENTS * self._scales(structure), 0]
        self.sizes[-1] = COMPONENTS * FEATURES * (FEATURES - 1) // 2 if structure == "full" else 0
        layers = nn.Linear(CONTEXT, 64), nn.ReLU(), nn.Linear(64, 64), nn.ReLU(), nn.Linear(64, sum(self.sizes))
        self.network, self.full = nn.Sequential(*layers), structure == "full"

    @staticmethod
    def _scales(structure: str) -> int:
        return 1 if structure == "spherical" else FEATURES

    def forward(self, context: Tensor) -> torch.distributions.Distribution:
        logits, mean, scale, below = self.network(context).split(self.sizes, -1)
        mean = mean.unflatten(-1, (COMPONENTS, FEATURES))
        scale = scale.unflatten(-1, (COMPONENTS, -1)).exp() + 1e-6
        weights = torch.distributions.Categorical(logits=logits, validate_args=False)
        if self.full:
            factor = torch.diag_embed(scale)
            i, j = torch.tril_indices(FEATURES, FEATURES, -1)
            factor[..., i, j] = below.unflatten(-1, (COMPONENTS, -1))
            law = torch.distributions.MultivariateNormal(mean, scale_tril=factor, validate_args=False)
        else:
            law = torch.distributions.Independent(torch.distributions.Normal(mean, scale, False), 1, False)
        return torch.distributions.MixtureSameFamily(weights, law, validate_args=False)


def network(subject: str, structure: str) -> nn.Module:
    """A network of a subject's own."""
    torch.manual_seed(0)
    if subject == "zuko":
        from zuko.mixtures import GMM

        return GMM(FEATURES, CONTEXT, COMPONENTS, structure)
    if subject == "torch":
        return ByHand(structure)
    return mx.conditional.GMM(FEATURES, CONTEXT, COMPONENTS, structure)


def step(module: nn.Module, context: Tensor, x: Tensor) -> None:
    """Forward, loss, backward."""
    module.zero_grad()
    (-module(context).log_prob(x).mean()).backward()


def measured(subject: str, structure: str, threads: int, repeats: int) -> Measured:
    """Steps of one subject, in this process."""
    torch.set_num_threads(threads)
    module, generator = network(subject, structure), torch.Generator().manual_seed(1)
    context, x = (torch.randn(ROWS, width, generator=generator) for width in (CONTEXT, FEATURES))
    for _ in range(3):  # loops are compiled, and libraries loaded
        step(module, context[:FEW].repeat(40, 1), x[:FEW].repeat(40, 1))
    before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    clock, found = time.process_time if threads == 1 else time.perf_counter, []
    for _ in range(repeats):
        begin = clock()
        step(module, context, x)
        found.append(clock() - begin)
    return Measured(min(found), (resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before) / 2**10)


def in_turns(structure: str, threads: int, rounds: int, repeats: int) -> dict[str, Measured]:
    """The best of some rounds of every subject, each in a process of its own."""
    best: dict[str, Measured] = {}
    for _ in range(rounds):
        for subject in SUBJECTS:
            asked = [subject, structure, str(threads), str(repeats)]
            command = [sys.executable, "-m", "benchmarks.conditional", "--worker", *asked]
            run = subprocess.run(command, capture_output=True, text=True, check=True)
            found = Measured(*json.loads(run.stdout.splitlines()[-1]))
            old = best.get(subject, found)
            best[subject] = Measured(min(old.seconds, found.seconds), max(old.memory, found.memory))
    return best


def built() -> tuple[float, float]:
    """Seconds that the value takes once the network has put out its numbers, and those of a whole step."""
    torch.set_num_threads(1)
    module = mx.conditional.GMM(FEATURES, CONTEXT, COMPONENTS)
    context, x = torch.randn(ROWS, CONTEXT), torch.randn(ROWS, FEATURES)
    numbers = module.components_head(torch.Size([ROWS]), module.body(context))
    logits = torch.randn(ROWS, COMPONENTS)

    def build() -> None:
        mx.Mixture(logits=logits, components=module.chart.at(numbers), validate_args=False)

    return _best(build), _best(partial(step, module, context, x))


def wide(features: int = 100, rows: int = 2000) -> tuple[float, float]:
    """MiB that the log-density of many features and its gradient take, and those of an N x K x D x D tensor."""
    module = mx.conditional.GMM(features, components=COMPONENTS)
    x = torch.randn(rows, features)
    (-module().log_prob(x[:FEW].repeat(8, 1)).mean()).backward()
    before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    (-module().log_prob(x).mean()).backward()
    found = (resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before) / 2**10
    return found, rows * COMPONENTS * features**2 * 4 / 2**20


def _best(run: Callable[[], object], repeats: int = 15) -> float:
    found = []
    for _ in range(repeats):
        begin = time.process_time()
        run()
        found.append(time.process_time() - begin)
    return min(found)


def document(found: dict[int, dict[str, dict[str, Measured]]], feet: list[str]) -> str:
    """The table."""
    sizes = f"{ROWS} rows, {CONTEXT} features of the context, {FEATURES} of the target, {COMPONENTS} components"
    head = [
        "# Networks that return mixtures",
        "",
        f"One training step: {sizes}, single precision, layers of 64 and 64.",
    ]
    head += ["Milliseconds and MiB, written by `make bench`; the promise is 4 times faster and half the memory.", ""]
    lines = [
        "| covariances | measured | Mixtura | Zuko | torch | beside Zuko | beside torch |",
        "|---|---|---:|---:|---:|---:|---:|",
    ]
    for structure in STRUCTURES:
        for threads, measured in found.items():
            what = "processor, one thread" if threads == 1 else f"wall, {threads} threads"
            lines.append(_line(structure, what, [measured[structure][subject].seconds * 1000 for subject in SUBJECTS]))
        memory = next(iter(found.values()))[structure]
        lines.append(_line(structure, "peak memory", [memory[subject].memory for subject in SUBJECTS]))
    return "\n".join([*head, *lines, "", *feet]) + "\n"


def _line(structure: str, what: str, numbers: list[float]) -> str:
    ours, *theirs = numbers
    ratios = [f"{other / ours:.2g}" if ours > 0 else "" for other in theirs]
    return f"| {structure} | {what} | " + " | ".join([*(f"{number:.3g}" for number in numbers), *ratios]) + " |"


def main() -> None:
    parser = argparse.ArgumentParser("python -m benchmarks.conditional", description=__doc__)
    parser.add_argument("--out", type=Path, default=Path(__file__).parent, help="folder of CONDITIONAL.md")
    parser.add_argument("--rounds", type=int, default=3, help="turns of every subject")
    parser.add_argument("--repeats", type=int, default=7, help="steps in a process")
    parser.add_argument("--threads", type=int, nargs="+", default=[1, 2])
    parser.add_argument("--worker", nargs=4, help=argparse.SUPPRESS)
    options = parser.parse_args()
    if options.worker:
        subject, structure, threads, repeats = options.worker
        print(json.dumps(measured(subject, structure, int(threads), int(repeats))))
        return
    found = {
        threads: {s: in_turns(s, threads, options.rounds, options.repeats) for s in STRUCTURES}
        for threads in options.threads
    }
    (memory, tensor), (build, whole) = wide(), built()
    feet = [
        f"Building the value, once the network has put out its numbers, takes {100 * build / whole:.2g} % of a step "
        "(promise: 5 %).",
        f"The log-density of 100 features, with its gradient, took {memory:.0f} MiB; N x K x D x D has {tensor:.0f}.",
    ]
    text = document(found, feet)
    (options.out / "CONDITIONAL.md").write_text(text)
    print(text)


if __name__ == "__main__":
    main()
