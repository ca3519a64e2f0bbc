"""How long the default fit of each family takes: 300 rows, four components, processor time of one thread.

    python benchmarks/families.py [NAME ...]

A row of the table: seconds of processor time and on the wall of one whole fit, sixteen starts and the race among them,
the least of two after a first one that compiles what there is to compile; updates of the best run; and why it stopped.
"""

from __future__ import annotations

import sys
import time
from collections.abc import Callable

import torch

import mixtura as mx
from mixtura.components import Component, Laplace, TorchComponent

ROWS, COMPONENTS = 300, 4


def truth(components: Component) -> mx.Mixture:
    """A mixture of equal parts."""
    return mx.Mixture(torch.full((COMPONENTS,), 0.25, dtype=torch.float64), components)


def spread(*values: float) -> torch.Tensor:
    return torch.tensor(values, dtype=torch.float64)


WHERE = spread(-6, -1, 2, 7)
CENTRES = torch.stack([WHERE, WHERE.flip(0).cos() * 4, WHERE.sin() * 3], -1)
TURNS = torch.tensor([[1.0, 0.0, 0.0], [0.0, 1.0, 0.0], [0.0, 0.6, 0.8], [-0.6, 0.0, -0.8]], dtype=torch.float64)
COUNTS, POSITIVE = spread(1, 4, 12, 30), spread(0.5, 2, 6, 20)
NORMAL, SHARES = mx.Normal(WHERE, spread(1, 0.5, 0.7, 1.5)), spread(0.1, 0.3, 0.6, 0.9)
PAIRS = mx.Gaussian(CENTRES[:, :2], mx.Full((torch.eye(2, dtype=torch.float64) + 0.3).expand(4, 2, 2)))
VECTORS = mx.Gaussian(CENTRES, mx.Full((torch.eye(3, dtype=torch.float64) + 0.3).expand(4, 3, 3)))

LAWS: dict[str, tuple[Component, object]] = {
    "Normal": (NORMAL, None),
    "Gaussian": (VECTORS, None),
    "StudentT": (mx.StudentT(WHERE, spread(1, 0.5, 0.7, 1.5), 4.0), mx.StudentT),
    "LogNormal": (mx.LogNormal(WHERE / 3, spread(0.3, 0.2, 0.3, 0.4)), mx.LogNormal),
    "Gamma": (mx.Gamma(spread(2, 5, 9, 20), spread(4, 2, 1, 0.8)), mx.Gamma),
    "InverseGamma": (mx.InverseGamma(spread(3, 5, 9, 20), spread(1, 8, 50, 400)), mx.InverseGamma),
    "Weibull": (mx.Weibull(POSITIVE, spread(1, 2, 4, 5)), mx.Weibull),
    "Exponential": (mx.Exponential(1 / POSITIVE), mx.Exponential),
    "Beta": (mx.Beta(spread(2, 20, 30, 40), spread(30, 30, 12, 4)), mx.Beta),
    "Dirichlet": (mx.Dirichlet(10 * SHARES.unsqueeze(-1) ** spread(1, 2, 3)), mx.Dirichlet),
    "Laplace": (Laplace(WHERE, spread(1, 0.5, 0.7, 1.5)), Laplace),
    "Poisson": (mx.Poisson(COUNTS), mx.Poisson),
    "NegativeBinomial": (mx.NegativeBinomial(spread(2, 5, 8, 20), spread(0.3, 0.4, 0.6, 0.6)), mx.NegativeBinomial),
    "Binomial": (mx.Binomial(20, SHARES), mx.Binomial.template(total_count=20)),
    "Geometric": (mx.Geometric(SHARES), mx.Geometric),
    "Bernoulli": (mx.Bernoulli(torch.rand(4, 8).double(), vectors=True), mx.Bernoulli),
    "Categorical": (
        mx.Categorical(torch.rand(4, 5, 3).double() ** 3, vectors=True),
        mx.Categorical.template(categories=3),
    ),
    "Multinomial": (mx.Multinomial(torch.rand(4, 5).double() ** 2, 20), mx.Multinomial),
    "VonMises": (mx.VonMises(spread(-2.5, -0.5, 0.5, 2), spread(2, 5, 10, 30)), mx.VonMises),
    "VonMisesFisher": (mx.VonMisesFisher(TURNS, spread(5, 10, 20, 50)), mx.VonMisesFisher),
    "torch Gumbel": (
        TorchComponent(torch.distributions.Gumbel(WHERE, torch.ones(4).double())),
        torch.distributions.Gumbel,
    ),
}
SEEN: dict[str, tuple[Component, object]] = {
    "censored": (NORMAL, mx.observation.Censored(lower=-5.0, upper=6.0)),
    "censored 2-D": (PAIRS, mx.observation.Censored(lower=-4.0)),
    "censored 3-D": (VECTORS, mx.observation.Censored(lower=-4.0)),
    "truncated": (NORMAL, mx.observation.Truncated(lower=-6.0)),
    "truncated 2-D": (PAIRS, mx.observation.Truncated(lower=-6.0)),
    "truncated 3-D": (VECTORS, mx.observation.Truncated(lower=-6.0)),
    "rounded": (NORMAL, mx.observation.Rounded(0.5)),
    "rounded 2-D": (PAIRS, mx.observation.Rounded(0.5)),
    "rounded 3-D": (VECTORS, mx.observation.Rounded(0.5)),
    "gaps": (VECTORS, mx.observation.Missing()),
}
SHARED = {f"{seen} {name}": (seen, name) for seen in ("gaps", "rounded 3-D") for name in ("EEV", "EVE", "VVE", "VEV")}


def fits() -> dict[str, Callable[[], mx.Fit]]:
    """What is fitted, by name."""
    torch.manual_seed(0)
    found: dict[str, Callable[[], mx.Fit]] = {}
    for name, (law, family) in LAWS.items():
        rows = truth(law).sample((ROWS,), generator=torch.Generator().manual_seed(1))
        found[name] = lambda rows=rows, family=family: fit(rows, family=family)
    for name, (law, seen) in SEEN.items():
        rows = recorded(law, seen)
        found[name] = lambda rows=rows, seen=seen: fit(rows, observation=seen)
    for name, (kind, structure) in SHARED.items():
        law, seen = SEEN[kind]
        rows = recorded(law, seen)
        found[name] = lambda rows=rows, seen=seen, to=structure: fit(rows, observation=seen, covariance=to)
    return found


def recorded(law: Component, seen: object) -> torch.Tensor:
    rows = truth(law).observed(seen).sample((ROWS,), generator=torch.Generator().manual_seed(1))
    if isinstance(seen, mx.observation.Missing):
        gaps = torch.rand(rows.shape, generator=torch.Generator().manual_seed(2)) < 0.1
        rows = rows.masked_fill(gaps & ~gaps.all(-1, keepdim=True), torch.nan)
    return rows


def fit(rows: torch.Tensor, **given: object) -> mx.Fit:
    return mx.fit(rows, COMPONENTS, generator=torch.Generator().manual_seed(0), **given)


def main(names: list[str]) -> None:
    torch.set_num_threads(1)
    print(f"{'':20} {'seconds':>8} {'wall':>8} {'updates':>8}  reason")
    for name, once in fits().items():
        if names and name not in names:
            continue
        try:
            once()
            spent, found = zip(*(timed(once) for _ in range(2)), strict=True)
        except Exception as error:  # noqa: BLE001 - the table goes on
            print(f"{name:20} {type(error).__name__}: {str(error)[:80]}")
            continue
        seconds, wall = map(min, zip(*spent, strict=True))
        print(f"{name:20} {seconds:8.3f} {wall:8.3f} {len(found[0].trace) - 1:8}  {found[0].reason.name}", flush=True)


def timed(once: Callable[[], mx.Fit]) -> tuple[tuple[float, float], mx.Fit]:
    """Seconds of processor time and on the wall, and what came of it."""
    start, begin = time.process_time(), time.perf_counter()
    found = once()
    return (time.process_time() - start, time.perf_counter() - begin), found


if __name__ == "__main__":
    main(sys.argv[1:])
