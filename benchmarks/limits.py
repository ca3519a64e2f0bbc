r"""What the hardware allows: its rates, measured in the same run, and the least work each task needs.

With N rows, D features and K components, an iteration of EM needs at the least one reading of the rows, NK
exponentials and, counting a multiply-add as two operations,

- full: a triangle of D (D + 1) / 2 multiply-adds for each row and component, once for distances and once for scatter;
- tied: the same once for each row, and products of N x D with D x K matrices for distances and means;
- diagonal: 4 D for distances (scale, square) and 4 D for the two moments, for each row and component;
- spherical: the two products, and one second moment for each row and component.

A density needs the first half of it; its gradients in rows and parameters as much again twice. A draw needs D normal
numbers and one triangle. Operations and exponentials share the arithmetic units, so their times add; reading and
writing overlap them. The limit is the larger of the two.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

from .cases import Case

_BYTES = {"float64": 8, "float32": 4}


@dataclass(frozen=True)
class Work:
    """The least that a task needs."""

    operations: float
    exponentials: float
    normals: float
    numbers: float  # read or written

    def seconds(self, rates: dict[str, float], dtype: str) -> float:
        """The time at the measured rates."""
        arithmetic = (
            self.operations / rates[f"GEMM {dtype}"]
            + self.exponentials / rates[f"exp {dtype}"]
            + self.normals / rates[f"normal {dtype}"]
        )
        return max(arithmetic, self.numbers * _BYTES[dtype] / rates["memory"])


def _pairs(case: Case) -> dict[str, tuple[float, float]]:
    """Operations of distances and of moments, by structure."""
    n, d, k = case.rows, case.features, case.components
    triangle, product = d * (d + 1), 2 * d * k
    return {
        "full": (n * k * triangle, n * k * triangle),
        "tied": (n * (triangle + product), n * (triangle + product)),
        "diagonal": (n * k * 4 * d, n * k * 4 * d),
        "spherical": (n * (product + 2 * d), n * (product + 2 * k)),
    }


def em(case: Case) -> Work:
    pairs = case.rows * case.components
    return Work(sum(_pairs(case)[case.structure]), pairs, 0, case.rows * case.features)


def log_prob(case: Case) -> Work:
    pairs = case.rows * case.components
    return Work(_pairs(case)[case.structure][0], pairs, 0, case.rows * (case.features + 1))


def gradient(case: Case) -> Work:
    pairs = case.rows * case.components
    distances, moments = _pairs(case)[case.structure]
    return Work(2 * distances + moments, pairs, 0, case.rows * (2 * case.features + 1))


def sample(case: Case) -> Work:
    n, d = case.rows, case.features
    triangle = d * (d + 1) if case.structure in ("full", "tied") else 2 * d
    return Work(n * triangle, 0, n * d, n * d)


WORK: dict[str, Callable[[Case], Work]] = {"em": em, "log_prob": log_prob, "gradient": gradient, "sample": sample}


def measure(clock: Callable[[], float], seconds: float = 0.4) -> dict[str, float]:
    """Operations, exponentials, normal numbers and bytes per second, on the threads that the subjects have."""
    import torch

    def best(run: Callable[[], object]) -> float:
        """The shortest time of one call: a limit is what the machine can do when nothing disturbs it."""
        run()
        end, best = clock() + seconds, float("inf")
        while (start := clock()) < end:
            run()
            best = min(best, clock() - start)
        return best

    rates = {}
    for dtype in _BYTES:
        kind = getattr(torch, dtype)
        square, out = torch.rand(1536, 1536, dtype=kind), torch.empty(1536, 1536, dtype=kind)
        vector = torch.rand(2**17, dtype=kind) - 1
        result = torch.empty_like(vector)
        rates[f"GEMM {dtype}"] = 2 * 1536**3 / best(lambda a=square, o=out: torch.mm(a, a, out=o))
        rates[f"exp {dtype}"] = 2**17 / best(lambda v=vector, o=result: torch.exp(v, out=o))
        rates[f"normal {dtype}"] = 2**17 / best(lambda o=result: o.normal_())
    big = torch.ones(2**25, dtype=torch.float64)
    rates["memory"] = big.nbytes / best(big.sum)
    return rates
